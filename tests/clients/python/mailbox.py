"""A mail server (aiosmtpd), led by a test.

Orders: {"do": "open", port, certificate?, key?, implicit?, user?, password?}, {"do": "refuse", code},
{"do": "take"}, {"do": "close"}. Events: open {port}, refuse, take, close; letter {sender, to, subject,
text, kind, tls, user}, refused.
"""

import email
import email.policy
import ssl

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword
from lines import orders, tell


class Box:
    """Takes letters, or says why not."""

    def __init__(self):
        self.refusal = None

    async def handle_DATA(self, server, session, envelope):
        if self.refusal:
            tell(event="refused")
            return self.refusal
        letter = email.message_from_bytes(envelope.content, policy=email.policy.default)
        guarded = server.transport.get_extra_info("ssl_object") is not None
        tell(
            event="letter",
            sender=envelope.mail_from,
            to=envelope.rcpt_tos,
            subject=letter["Subject"],
            text=letter.get_content(),
            kind=letter.get_content_type(),
            tls=session.ssl is not None or guarded,
            user=session.auth_data,
        )
        return "250 taken"


box = Box()
door = None
for order in orders():
    do = order["do"]
    if do == "open":
        context = None
        if order.get("certificate"):
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(order["certificate"], order["key"])

        def known(server, session, envelope, mechanism, data, order=order):
            good = isinstance(data, LoginPassword) and (
                data.login.decode(),
                data.password.decode(),
            ) == (order["user"], order["password"])
            return AuthResult(success=good, auth_data=data.login.decode() if good else None)

        asks = bool(order.get("user"))
        implicit = order.get("implicit", False)
        door = Controller(
            box,
            hostname="127.0.0.1",
            port=order["port"],
            ssl_context=context if implicit else None,
            tls_context=None if implicit else context,
            require_starttls=bool(context) and not implicit,
            authenticator=known if asks else None,
            auth_required=asks,
            auth_require_tls=not implicit,
        )
        door.start()
        tell(event="open", port=door.server.sockets[0].getsockname()[1])
    elif do == "refuse":
        box.refusal = order["code"]
        tell(event=do)
    elif do == "take":
        box.refusal = None
        tell(event=do)
    elif do == "close":
        door.stop()
        tell(event=do)
if door:
    door.stop(no_assert=True)

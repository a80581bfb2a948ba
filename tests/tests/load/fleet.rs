//! Devices by the thousand.

use tests::{
    Server, eventually,
    http::{request, rpc_call, send_rpc},
    mqtt::Login,
};

/// The most that one call registers.
const BATCH: usize = 1_000;
/// The most that one page shows.
const PAGE: usize = 50;

/// Registers so many devices of a new product, and gives back what each shows when it connects.
pub(crate) fn register(server: &mut Server, many: usize) -> Vec<Login> {
    let (product, _) = server.product("fleet");
    let key = server.key();
    let http = server.address("http");
    let call = |action: &str, params: &[(&str, &str)]| {
        let call = rpc_call(&key, "POST", action, params);
        let told = send_rpc(http, "POST", &call).json();
        assert_eq!(told["Success"], true, "{action}: {told}");
        told
    };
    let mut logins = Vec::with_capacity(many);
    while logins.len() < many {
        let next = BATCH.min(many - logins.len());
        let asked = [
            ("ProductKey", product.as_str()),
            ("Count", &next.to_string()),
        ];
        let batch = call("BatchRegisterDevice", &asked)["Data"]["ApplyId"].to_string();
        eventually("all devices of a batch", || {
            let told = call("QueryPageByApplyId", &[("ApplyId", &batch)]);
            (told["Total"] == next).then_some(())
        });
        for page in 1..=next.div_ceil(PAGE) {
            let wanted = [
                ("ApplyId", batch.as_str()),
                ("PageSize", &PAGE.to_string()),
                ("CurrentPage", &page.to_string()),
            ];
            let told = call("QueryPageByApplyId", &wanted);
            let rows = &told["ApplyDeviceList"]["ApplyDeviceInfo"];
            for row in rows.as_array().expect("a list") {
                let field = |name: &str| row[name].as_str().expect("a text");
                let (name, secret) = (field("DeviceName"), field("DeviceSecret"));
                logins.push(Login::signed(&product, name, secret, ",_ss=1"));
            }
        }
    }
    assert_eq!(logins.len(), many);
    logins
}

/// The sum of a counter's lines that contain a text.
pub(crate) fn counted(server: &Server, name: &str, with: &str) -> u64 {
    let page = request(server.address("http"), "GET", "/metrics", &[], b"").body;
    page.lines()
        .filter(|line| line.starts_with(name) && line.contains(with))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
        .sum()
}

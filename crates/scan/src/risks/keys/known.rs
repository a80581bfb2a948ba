//! Keys whose private half everybody has: those that products were delivered with, and those that
//! come with the sources of libraries and web servers. Known by the SHA-256 of RSA's modulus, without
//! leading zeros.

use credential::crypto::digest::Hash;

/// From the sources of the projects, and from the public keys that rapid7/ssh-badkeys collects.
const KNOWN: &[(&str, &str)] = &[
    (
        "06c22f3be974abb70d86d0ca9f534d157abe740281a087f9cbadcf42bfb524a0",
        "SSH host key of Advantech EKI gateways",
    ),
    (
        "13faba486662eeeb2f0b343a8d009736932d40ee1ab035967e7a768754633894",
        "self.key of GoAhead's sources",
    ),
    (
        "23c99871e9d8db434f62593ea9b82d9dd2c1e0ac4601a3ecf49a841b7acaccd1",
        "SSH host key of TP-Link TD-W8950N",
    ),
    (
        "2cdf9981c6fd23fd8568778a19da13934998a7ba8686b96c86fa69b23b3c52ec",
        "root's key of F5 BIG-IP (CVE-2012-1493)",
    ),
    (
        "31a7bb5fb284207e87bad71419bcf96d9ddc0b6cc1a6c4629de4197d607612bc",
        "SSH host key of Zyxel FSG2200",
    ),
    (
        "4c9052cb554670bcba3ba579abfdc82dd062be7e599e1ed35d877dbeeb3ae4fb",
        "server2.key of Mbed TLS's tests",
    ),
    (
        "4fd9973c9cc206ef5f736fb578800da4b443aea2b15c6ed77de5ee895369d071",
        "insecure key of Vagrant",
    ),
    (
        "535655af16e5b8d5f0ecb52db0e5811491ee1ee986e0b338465478ae66b77cc6",
        "SSH host key of TRENDnet TEW-715APO",
    ),
    (
        "78e905f120c2549031238e8dffea882ccac02a73151e57493b51ca7a648fb2fe",
        "SSH host key of Westermo MRD-310",
    ),
    (
        "970925b033bc2d7779adcbf37a88f94b43a42a46e5ca14e4782713639583b336",
        "SSH host key of Huawei BM626",
    ),
    (
        "aa9e3ee0704a47ce275a7bc6e37a3916bbb1031ea5e930246134602da0355fe5",
        "mini_httpd.pem of mini_httpd's sources",
    ),
    (
        "d59337f69086a7da15134cf2e4776a5dca9d5b3f5fd1e0dce424651daccd7d75",
        "SSH host key of Linksys X1000",
    ),
    (
        "d9b8bd159e3ffd70e2d4bf2e8265a524af77157ab537fa2d49b7ec5a34620c07",
        "SSH host key of Moxa IA240",
    ),
    (
        "f6a64465adb1392ebbe89b6f5e922956bb54caa2652aca87c0c7190e2c9cd63f",
        "SSH host key of Cisco RV315W",
    ),
    (
        "ffebd788109dc281a77ff1c2703b15c8354568ebf57d41ffb4ef70c1ec75e8be",
        "default key of axTLS",
    ),
];

/// Whose key it is, of those that everybody has.
pub(super) fn whose(modulus: &[u8]) -> Option<&'static str> {
    let zeros = modulus.iter().take_while(|b| **b == 0).count();
    let digest = Hash::Sha256.hex(&modulus[zeros..]);
    let at = KNOWN.binary_search_by_key(&digest.as_str(), |(known, _)| known);
    at.ok().map(|at| KNOWN[at].1)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_table_is_sorted() {
        assert!(super::KNOWN.is_sorted_by_key(|(known, _)| known));
    }
}

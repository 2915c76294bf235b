"""Which addresses may be called: attacks as a table, and what the allow-list lets through."""

from __future__ import annotations

import pytest

from tactics.errors import BadInput
from tactics.gateways.addresses import AllowList, Blocked, Target

HOSTS = (
    *(
        "wallet.example.com",
        "*.partners.example.net",
        "odd.example.com:8443",
        "http://plain.example.com:8080",
        "[2600::7]",
    ),
    *("127.0.0.1:9000", "10.1.2.3", "93.184.215.14", "[::ffff:10.1.2.3]"),
)
ALLOWED = AllowList.parse(HOSTS, ())
PRIVATE = AllowList.parse(HOSTS, ("10.0.0.0/8", "fd00::/8"))


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://wallet.example.com/a?b={id}&c=%20", Target("https", "wallet.example.com", 443, "/a?b={id}&c=%20")),
        ("HTTPS://Wallet.Example.COM:443", Target("https", "wallet.example.com", 443, "/")),
        ("https://wallet.example.com?x=1", Target("https", "wallet.example.com", 443, "/?x=1")),
        ("https://eu.partners.example.net/", Target("https", "eu.partners.example.net", 443, "/")),
        ("https://a.b.partners.example.net/", Target("https", "a.b.partners.example.net", 443, "/")),
        ("https://odd.example.com:8443/", Target("https", "odd.example.com", 8443, "/")),
        ("http://plain.example.com:8080/x", Target("http", "plain.example.com", 8080, "/x")),
        ("https://93.184.215.14/", Target("https", "93.184.215.14", 443, "/")),
        ("https://[2600:0:0::7]/", Target("https", "2600::7", 443, "/")),
    ],
)
def test_what_the_list_has_may_be_called(url: str, target: Target) -> None:
    """A host of the list, below a suffix of it, with its port and scheme, is read into its parts."""
    assert ALLOWED.target(url) == target


def test_host_header() -> None:
    """The header Host has brackets around IPv6, and the port where it is not the scheme's own."""
    assert ALLOWED.target("https://[2600::7]/").host_header == "[2600::7]"
    assert ALLOWED.target("https://odd.example.com:8443/").host_header == "odd.example.com:8443"
    assert ALLOWED.target("https://wallet.example.com:443/").host_header == "wallet.example.com"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        # other hosts, ports and schemes
        ("https://example.com/", "TACTICS_OUTBOUND_HOSTS"),
        ("https://evil.example.com/", "TACTICS_OUTBOUND_HOSTS"),
        ("https://wallet.example.com.evil.org/", "TACTICS_OUTBOUND_HOSTS"),
        ("https://evilwallet.example.com/", "TACTICS_OUTBOUND_HOSTS"),
        ("https://a.wallet.example.com/", "TACTICS_OUTBOUND_HOSTS"),
        ("https://partners.example.net/", "TACTICS_OUTBOUND_HOSTS"),
        ("https://evilpartners.example.net/", "TACTICS_OUTBOUND_HOSTS"),
        ("https://partners.example.net.evil.org/", "TACTICS_OUTBOUND_HOSTS"),
        ("https://wallet.example.com:444/", "TACTICS_OUTBOUND_HOSTS"),
        ("https://wallet.example.com:80/", "TACTICS_OUTBOUND_HOSTS"),
        ("https://odd.example.com/", "TACTICS_OUTBOUND_HOSTS"),
        ("http://wallet.example.com/", "TACTICS_OUTBOUND_HOSTS"),
        ("http://wallet.example.com:443/", "TACTICS_OUTBOUND_HOSTS"),
        ("https://plain.example.com:8080/", "TACTICS_OUTBOUND_HOSTS"),
        ("https://169.254.169.254/latest/meta-data", "TACTICS_OUTBOUND_HOSTS"),
        ("ftp://wallet.example.com/", "begins with https://"),
        ("file:///etc/passwd", "begins with https://"),
        ("gopher://wallet.example.com:70/_x", "begins with https://"),
        ("javascript:alert(1)", "looks like"),
        ("wallet.example.com", "looks like"),
        ("//wallet.example.com/", "looks like"),
        ("https:/wallet.example.com/", "looks like"),
        ("https:wallet.example.com", "looks like"),
        ("", "looks like"),
        # two readers could find two hosts in it
        ("https://wallet.example.com@evil.org/", "user or password"),
        ("https://evil.org@wallet.example.com/", "user or password"),
        ("https://u:p@wallet.example.com/", "user or password"),
        ("https://wallet.example.com\\@evil.org/", "looks like"),
        ("https://evil.org\\wallet.example.com/", "looks like"),
        ("https://evil.org#@wallet.example.com/", "looks like"),
        ("https://wallet.example.com#x", "looks like"),
        ("https://wallet.example.com/#x\n", "looks like"),
        ("https://wallet.example.com /", "host of an address"),
        ("https://wallet.example.com\t/", "host of an address"),
        ("https://wallet.example.com/a b", "looks like"),
        ("https://wallet.example.com/\r\nHost: evil.org", "looks like"),
        ("https://wallet.example.com/\x00", "looks like"),
        ("https://wallet.example.com/é", "looks like"),
        (" https://wallet.example.com/", "looks like"),
        ("https://wallet.example.com%2eevil.org/", "host of an address"),
        ("https://wallet%2Eexample.com/", "host of an address"),
        ("https://wallet。example。com/", "xn--"),
        ("https://\uff57allet.example.com/", "xn--"),
        ("https://wället.example.com/", "xn--"),
        ("https://wallet.example.com./", "none at its end"),
        ("https://.wallet.example.com/", "labels"),
        ("https://wallet..example.com/", "labels"),
        ("https://-a.partners.example.net/", "labels"),
        (f"https://{'a' * 64}.partners.example.net/", "labels"),
        (f"https://{'a.' * 130}partners.example.net/", "labels"),
        ("https:///x", "host of an address"),
        ("https://:443/", "host of an address"),
        ("https://*.partners.example.net/", "host of an address"),
        ("https://wallet.example.com:/", "host of an address"),
        ("https://wallet.example.com:0443/", "host of an address"),
        ("https://wallet.example.com:0/", "host of an address"),
        ("https://wallet.example.com:99999/", "1 to 65535"),
        ("https://wallet.example.com:443:443/", "host of an address"),
        ("https://wallet.example.com:+443/", "host of an address"),
        ("https://wallet.example.com:\uff14\uff14\uff13/", "host of an address"),
        (f"https://wallet.example.com/{'a' * 2100}", "2048 characters"),
        # numbers that some read as an IPv4 address
        ("https://127.1/", "four decimal numbers"),
        ("https://2130706433/", "four decimal numbers"),
        ("https://0x7f.1/", "four decimal numbers"),
        ("https://0x7f000001/", "four decimal numbers"),
        ("https://017700000001/", "four decimal numbers"),
        ("https://0177.0.0.1/", "four decimal numbers"),
        ("https://127.0.0.01/", "four decimal numbers"),
        ("https://127.0.0.1.1/", "four decimal numbers"),
        ("https://256.0.0.1/", "four decimal numbers"),
        ("https://a.partners.0x1/", "four decimal numbers"),
        ("https://[::1%25lo]/", "host of an address"),
        ("https://[::1/", "host of an address"),
        ("https://::1/", "host of an address"),
        ("https://[:::1]/", "no IPv6 address"),
        ("https://[127.0.0.1]/", "no IPv6 address"),
        # on the list, but not in a network that may be called
        ("https://127.0.0.1:9000/", "TACTICS_OUTBOUND_NETWORKS"),
        ("https://10.1.2.3/", "TACTICS_OUTBOUND_NETWORKS"),
        ("https://[::ffff:a01:203]/", "TACTICS_OUTBOUND_NETWORKS"),
    ],
)
def test_everything_else_is_refused(url: str, said: str) -> None:
    """Whatever is not on the list, or could be read in two ways, is refused with a text that says what is wrong with it."""
    with pytest.raises(BadInput, match=said):
        ALLOWED.target(url)


def test_an_empty_list_lets_nothing_through() -> None:
    """Where nothing is set, nothing is called, not even public addresses."""
    with pytest.raises(BadInput, match="TACTICS_OUTBOUND_HOSTS"):
        AllowList.parse((), ("0.0.0.0/0",)).target("https://wallet.example.com/")


INSIDE = (
    *("0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.255", "100.100.100.200"),  # noqa: S104  # nothing is bound to it
    *("127.0.0.1", "127.255.255.254", "169.254.169.254", "169.254.170.2", "172.16.0.1", "172.31.255.255"),
    *("192.0.0.1", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.0.1", "198.18.0.1", "198.19.255.255"),
    *("198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "168.63.129.16"),
    *(
        "::",
        "::1",
        "::7f00:1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "fe80::1",
        "fe80::1%lo",
    ),
    *("fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1", "2001:db8::1", "2001::1", "2001:0:7f00:1::", "2002:7f00:1::1"),
    *(
        "2002:808:808::1",
        "64:ff9b::127.0.0.1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::808:808",
        "100::1",
        "5f00::1",
        "3fff::1",
    ),
    *("4000::1", "::808:808", "::ffff:0:127.0.0.1"),
)
OUTSIDE = (
    *(
        "1.1.1.1",
        "8.8.8.8",
        "9.255.255.255",
        "11.0.0.1",
        "100.63.255.255",
        "100.128.0.1",
        "172.15.255.255",
        "172.32.0.1",
    ),
    *("192.167.255.255", "192.169.0.1", "223.255.255.255", "2606:4700::1111", "2a00:1450::5", "2600::7"),
    *("::ffff:8.8.8.8", "64:ff9b::8.8.8.8"),
)


@pytest.mark.parametrize("address", INSIDE)
def test_addresses_inside_are_refused(address: str) -> None:
    """A name that leads to a private, local, reserved or metadata address, in whatever dress, is not called."""
    with pytest.raises(Blocked, match=r"wallet\.example\.com is at .*TACTICS_OUTBOUND_NETWORKS"):
        ALLOWED.check("wallet.example.com", [address])


def test_public_addresses_pass() -> None:
    """Public addresses pass, those beside private ranges too, and IPv4 inside of IPv6 where it is public."""
    ALLOWED.check("wallet.example.com", OUTSIDE)


def test_one_bad_address_among_good_ones_is_enough() -> None:
    """All that a name resolves to is looked at: which of them answers first is no matter of luck."""
    for addresses in (["8.8.8.8", "10.0.0.1"], ["10.0.0.1", "8.8.8.8"], [*OUTSIDE, "::1"]):
        with pytest.raises(Blocked):
            ALLOWED.check("wallet.example.com", addresses)


def test_networks_of_the_setting_are_let_through() -> None:
    """A network of the setting is open, as itself and inside of IPv6, and no other one."""
    PRIVATE.check("wallet.example.com", ["10.0.0.1", "::ffff:10.0.0.1", "64:ff9b::10.0.0.1", "fd00::5", "8.8.8.8"])
    assert PRIVATE.target("https://10.1.2.3/").host == "10.1.2.3"
    for address in ("192.168.0.1", "127.0.0.1", "::1", "fe80::1"):
        with pytest.raises(Blocked):
            PRIVATE.check("wallet.example.com", [address])
    with pytest.raises(BadInput, match="TACTICS_OUTBOUND_NETWORKS"):
        PRIVATE.target("https://127.0.0.1:9000/")


@pytest.mark.parametrize(
    ("hosts", "networks", "said"),
    [
        (["*"], [], "'\\*'"),
        (["*."], [], "no host"),
        (["a.*.com"], [], "no host"),
        (["ftp://a.example.com"], [], "no host"),
        (["https://a.example.com/x"], [], "no host"),
        (["u@a.example.com"], [], "host of an address"),
        (["a.example.com:0"], [], "host of an address"),
        (["a.example.com."], [], "labels"),
        (["*.10.0.0.1"], [], "below an IP address"),
        (["0x7f.1"], [], "four decimal numbers"),
        ([], ["10.0.0.1/8"], "host bits"),
        ([], ["everything"], "TACTICS_OUTBOUND_NETWORKS has 'everything'"),
    ],
)
def test_settings_that_cannot_be_read_are_refused(hosts: list[str], networks: list[str], said: str) -> None:
    """A slip in the settings is told at once, with the part that is wrong, instead of letting more or less through."""
    with pytest.raises(BadInput, match=said):
        AllowList.parse(hosts, networks)

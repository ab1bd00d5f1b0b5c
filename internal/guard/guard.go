// Package guard knows the addresses at which nothing of ours may call, wherever a name leads: those at which a cloud
// hands out the machine's own credentials, and those that are nobody's.
//
// Check is asked when a connection is made, after the name was resolved, so that a name can't change in between:
// it belongs into net.Dialer's Control. A proxy would resolve names behind it, so whoever uses it has none.
package guard

import (
	"fmt"
	"net"
	"net/netip"
)

// Barred says that a host's address is one that may not be reached.
type Barred struct {
	Address netip.Addr
	Why     string // what the address is: a link-local address
}

// Error names the address and what it is.
func (e *Barred) Error() string {
	return fmt.Sprintf("the host's address is %s, %s", e.Address, e.Why)
}

// reserved are addresses at which clouds answer with credentials of the machine, beside the link-local ones.
var reserved = []struct {
	prefix netip.Prefix
	why    string
}{
	{netip.MustParsePrefix("0.0.0.0/8"), "an unspecified address"},
	{netip.MustParsePrefix("fd00:ec2::/32"), "a metadata address"},      // AWS
	{netip.MustParsePrefix("fd20:ce::/32"), "a metadata address"},       // Google Cloud
	{netip.MustParsePrefix("168.63.129.16/32"), "a metadata address"},   // Azure
	{netip.MustParsePrefix("100.100.100.200/32"), "a metadata address"}, // Alibaba Cloud
	{netip.MustParsePrefix("192.0.0.192/32"), "a metadata address"},     // Oracle Cloud
	{netip.MustParsePrefix("255.255.255.255/32"), "a broadcast address"},
}

// Check refuses a host:port whose host is an address that may not be reached, with *Barred. Loopback and private
// addresses are allowed: what we call stands there.
func Check(address string) error {
	ip, err := IP(address)
	if err != nil {
		return err
	}
	for _, a := range append([]netip.Addr{ip}, embedded(ip)...) {
		switch {
		case a.IsLinkLocalUnicast():
			return &Barred{ip, "a link-local address"}
		case a.IsMulticast():
			return &Barred{ip, "a multicast address"}
		case a.IsUnspecified():
			return &Barred{ip, "an unspecified address"}
		}
		for _, r := range reserved {
			if r.prefix.Contains(a) {
				return &Barred{ip, r.why}
			}
		}
	}
	return nil
}

// IP gives the address of a host:port, without its zone and as IPv4 where it is one.
func IP(address string) (netip.Addr, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return netip.Addr{}, err
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Addr{}, err
	}
	return ip.WithZone("").Unmap(), nil
}

// tunnels are IPv6 prefixes behind which an IPv4 address stands, at that byte: NAT64, 6to4, IPv4-compatible.
var tunnels = []struct {
	prefix netip.Prefix
	at     int
}{
	{netip.MustParsePrefix("64:ff9b::/96"), 12},
	{netip.MustParsePrefix("64:ff9b:1::/48"), 12},
	{netip.MustParsePrefix("2002::/16"), 2},
	{netip.MustParsePrefix("::/96"), 12},
}

// embedded gives the IPv4 addresses that an IPv6 one leads to.
func embedded(ip netip.Addr) (all []netip.Addr) {
	if !ip.Is6() || ip.IsLoopback() {
		return nil
	}
	bytes := ip.As16()
	for _, t := range tunnels {
		if t.prefix.Contains(ip) {
			all = append(all, netip.AddrFrom4([4]byte(bytes[t.at:t.at+4])))
		}
	}
	return all
}

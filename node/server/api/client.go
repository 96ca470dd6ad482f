package api

import "net/netip"

// clientOf is the address of a client that limits count by, of "host:port". Of IPv6 it is the network of 64 bits, which one
// client has to itself. Addresses that cannot be read count as one client.
func clientOf(remote string) netip.Addr {
	a, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	addr := a.Addr().Unmap().WithZone("")
	if addr.Is4() {
		return addr
	}
	network, _ := addr.Prefix(64) // no error: IPv6 has 128 bits
	return network.Addr()
}

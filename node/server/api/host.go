package api

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// checkHost refuses requests whose Host is not a name of the node. A web site whose name its owner points to the node's address
// (DNS rebinding) has the browser's permission to read and change everything, but the browser sends the site's name. It needs a
// name for that: an IP address that is the local end of the connection is allowed, as probes of Kubernetes send it. Ports are
// not compared: a published port differs from the node's own.
func (a *API) checkHost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !a.ownHost(r) {
			a.measure.refused(r.Context(), refusedHost)
			newProblem(http.StatusMisdirectedRequest, fmt.Sprintf("the request is for host %.100q, which is not a name of this node: "+
				"use localhost or an address of the node, or set ORDERLY_HTTP_HOST_NAMES to the names that clients use", r.Host)).write(w)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// ownHost reports whether the request's Host is a loopback name or address, the address that the node listens on, the local end
// of the connection, or configured.
func (a *API) ownHost(r *http.Request) bool {
	host := canonicalHost((&url.URL{Host: r.Host}).Hostname())
	if host == "localhost" || a.hosts[host] {
		return true
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	ip = ip.Unmap().WithZone("")
	return ip.IsLoopback() || ip == localEnd(r)
}

// localEnd is the node's address of the request's connection, zero if unknown.
func localEnd(r *http.Request) netip.Addr {
	addr, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	return addr.AddrPort().Addr().Unmap().WithZone("")
}

// canonicalHost is a host name in lower case, without the dot at its end.
func canonicalHost(host string) string { return strings.TrimSuffix(strings.ToLower(host), ".") }

// addHost allows a name or an address.
func (a *API) addHost(host string) {
	if host = canonicalHost(host); host != "" {
		a.hosts[host] = true
	}
}

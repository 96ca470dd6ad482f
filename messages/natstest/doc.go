// Package natstest runs NATS servers in the process of a test: one server or a cluster of three, client connections, a
// network that stops delivering, certificates, and the waits that such tests need. Only tests import it.
//
// Everything it starts is stopped by the test's cleanup, connections before their servers.
package natstest

// Package permission lists the NATS permissions of each kind of user of the engine, writes them as a configuration of
// nats-server, and tries them on a connection.
//
// The accounts of that configuration are apart for a reason: a server answers a request on the reply subject that the client
// chose, with its own rights. In the account of the streams such an answer is stored by them, if its subject is one of
// theirs. So only the users that are trusted with the streams are in it. The others reach it through imports: the server
// returns the answers to the account of the client, which has no streams.
package permission

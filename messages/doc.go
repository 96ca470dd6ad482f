// Package messages holds the contracts: the protobuf messages that clients publish, services exchange and the journal stores,
// order ids, subjects, headers, limits, and decoding and validation of what arrives. It imports nothing else of the project.
package messages

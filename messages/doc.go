// Package messages holds the words every other package speaks: the protobuf contracts, ids, subjects, deliveries,
// their outcomes, and the kinds of failure. It knows nothing else of the project.
package messages

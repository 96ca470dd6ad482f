// Package bench measures the engine next to the limit of JetStream on the same machine, in the same run: the raw loop makes the
// same publishes, fenced appends and acknowledgements with nothing in between. On a noisy machine the ratio within one run is
// reliable, a single figure is not.
package bench

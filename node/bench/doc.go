// Package bench measures the engine beside the limit that JetStream sets on the same machine, in the same run: the same
// publishes, fenced appends and acknowledgements with nothing in between. Ratios within one run hold on a noisy
// machine; single figures do not.
package bench

package ingress

// SweepPause is how long settled messages lie in the inbox.
const SweepPause = sweepPause

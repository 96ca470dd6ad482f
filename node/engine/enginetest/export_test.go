package enginetest

// CrashEverywhereInBubble is CrashEverywhere for a caller that is inside a bubble.
var CrashEverywhereInBubble = crashEverywhere

// Orderly carries orders to their end on NATS JetStream. This package is its command line: one file per subcommand.
package main

import (
	"context"
	"os"
)

func main() {
	os.Exit(execute(context.Background(), os.Args[1:], terminal{
		in: os.Stdin, out: os.Stdout, err: os.Stderr, environ: os.Environ(),
	}))
}

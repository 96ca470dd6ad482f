// Command orderly runs nodes of the order engine and is their client: see "orderly --help".
package main

import (
	"os"

	"github.com/orderly-engine/orderly/node/cli"
)

func main() { os.Exit(cli.Main()) }

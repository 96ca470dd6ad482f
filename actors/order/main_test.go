package order_test

import (
	"flag"
	"os"
	"testing"
)

// checks is how many random cases a property is tried with unless -rapid.checks says otherwise.
const checks = "2000"

func TestMain(m *testing.M) {
	flag.Parse()
	chosen := testing.Short()
	flag.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == "rapid.checks" })
	if !chosen {
		if err := flag.Set("rapid.checks", checks); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

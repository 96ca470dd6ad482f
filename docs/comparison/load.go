// Command comparison runs orders of four empty steps on Orderly, Temporal, Restate or DBOS, on servers that already run, and
// prints orders per second and latency. README.md in this directory says how to start them.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// steps is how many steps an order has.
const steps = 4

// An engineFunc runs one order and returns when it has ended.
type engineFunc func(ctx context.Context, id string) error

func main() {
	n := flag.Int("n", 2000, "orders")
	inFlight := flag.Int("in-flight", 256, "concurrent orders")
	samples := flag.Int("samples", 100, "orders run one after the other to measure latency")
	flag.Parse()
	open := map[string]func(context.Context) (engineFunc, func(), error){
		"orderly": orderly, "temporal": temporal, "restate": restate, "dbos": dbosEngine,
	}[flag.Arg(0)]
	if open == nil || *n < 1 || *inFlight < 1 || *samples < 1 {
		fmt.Fprintln(os.Stderr, "usage: comparison [-n N] [-in-flight N] [-samples N] orderly|temporal|restate|dbos")
		os.Exit(2)
	}
	if err := run(flag.Arg(0), open, *n, *inFlight, *samples); err != nil {
		fmt.Fprintln(os.Stderr, "comparison:", err)
		os.Exit(1)
	}
}

func run(name string, open func(context.Context) (engineFunc, func(), error), n, inFlight, samples int) error {
	ctx := context.Background()
	runOrder, end, err := open(ctx)
	if err != nil {
		return err
	}
	defer end()
	prefix := "o" + strconv.FormatInt(time.Now().UnixNano(), 36) + "-"
	if err := many(ctx, runOrder, prefix+"warm-", inFlight, inFlight); err != nil {
		return err
	}
	begun := time.Now()
	if err := many(ctx, runOrder, prefix, n, inFlight); err != nil {
		return err
	}
	rate := float64(n) / time.Since(begun).Seconds()
	took := make([]time.Duration, samples)
	for i := range took {
		begun := time.Now()
		if err := runOrder(ctx, prefix+"one-"+strconv.Itoa(i)); err != nil {
			return err
		}
		took[i] = time.Since(begun)
	}
	slices.Sort(took)
	fmt.Printf("%s: %.0f orders/s, p50 %s, p99 %s\n", name, rate, took[samples/2].Round(10*time.Microsecond), took[samples*99/100].Round(10*time.Microsecond))
	return nil
}

// many runs n orders, at most inFlight at a time.
func many(ctx context.Context, runOrder engineFunc, prefix string, n, inFlight int) error {
	var next atomic.Int64
	var all sync.WaitGroup
	var once sync.Once
	var failed error
	for range inFlight {
		all.Go(func() {
			for i := next.Add(1); i <= int64(n); i = next.Add(1) {
				if err := runOrder(ctx, prefix+strconv.FormatInt(i, 10)); err != nil {
					once.Do(func() { failed = err })
					return
				}
			}
		})
	}
	all.Wait()
	return failed
}

package journal_test

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
)

// Appends per order in the benchmarks.
const perOrder = 5

func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// benchServer syncs as the engine's own server does.
func benchServer(b *testing.B, options ...natstest.Option) *natstest.Server {
	b.Helper()
	return natstest.Start(b, append(options, func(o *server.Options) { o.SyncInterval = 100 * time.Millisecond })...)
}

// report adds appends per second and CPU per append, server included.
func report(b *testing.B, appends int, began time.Time, used time.Duration) {
	b.ReportMetric(float64(appends)/time.Since(began).Seconds(), "appends/s")
	b.ReportMetric(float64((cpu()-used).Microseconds())/float64(appends), "µs-cpu/append")
}

// drive runs b.N appends as chains of perOrder appends, with that many orders in flight.
func drive(b *testing.B, j *journal.Journal, inFlight int) {
	orders := max(b.N/perOrder, 1)
	room := make(chan struct{}, inFlight)
	var group sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	began, used := time.Now(), cpu()
	for i := range orders {
		room <- struct{}{}
		id := messages.OrderID(fmt.Sprintf("o-%09d", i))
		group.Add(1)
		c := &chain{j: j, n: perOrder, bytes: benchBody, group: &group}
		c.OrderID, c.Kinds = id, "step_completed"
		c.finished = func() { <-room }
		c.next()
	}
	group.Wait()
	b.StopTimer()
	report(b, orders*perOrder, began, used)
}

var benchBody = func() []byte {
	body, err := journal.Encode(nil, entry("o-000000001", 3))
	if err != nil {
		panic(err)
	}
	return body
}()

func BenchmarkRelaxed(b *testing.B) {
	for _, inFlight := range []int{1, 64, 2000} {
		b.Run(fmt.Sprintf("journal/inflight=%d", inFlight), func(b *testing.B) {
			nc := benchServer(b).Connect()
			stream(b, nc, nil)
			drive(b, open(b, nc, journal.Config{}), inFlight)
		})
	}
	b.Run("plain/inflight=2000", func(b *testing.B) {
		nc := benchServer(b).Connect()
		js := stream(b, nc, nil)
		plain(b, nc, js, 2000)
	})
}

// plain publishes the messages of drive with the client library's asynchronous publish, one round over all orders in flight
// at a time, because the fence of an append is the sequence of the one before.
func plain(b *testing.B, nc *nats.Conn, _ jetstream.JetStream, inFlight int) {
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(2*inFlight))
	if err != nil {
		b.Fatal(err)
	}
	orders := max(b.N/perOrder, 1)
	b.ReportAllocs()
	b.ResetTimer()
	began, used := time.Now(), cpu()
	for first := 0; first < orders; first += inFlight {
		n := min(inFlight, orders-first)
		last := make([]uint64, n)
		futures := make([]jetstream.PubAckFuture, n)
		for range perOrder {
			for i := range n {
				f, err := js.PublishMsgAsync(&nats.Msg{
					Subject: fmt.Sprintf("%so-%09d", messages.SubjectEvent, first+i),
					Header: nats.Header{
						"Nats-Expected-Last-Subject-Sequence": {strconv.FormatUint(last[i], 10)},
						messages.HeaderEvent:                  {"step_completed"},
					},
					Data: benchBody,
				})
				if err != nil {
					b.Fatal(err)
				}
				futures[i] = f
			}
			for i, f := range futures {
				select {
				case ack := <-f.Ok():
					last[i] = ack.Sequence
				case err := <-f.Err():
					b.Fatal(err)
				}
			}
		}
	}
	b.StopTimer()
	report(b, orders*perOrder, began, used)
}

func BenchmarkStrict(b *testing.B) {
	for _, inFlight := range []int{1, 64, 4000, 16000} {
		b.Run(fmt.Sprintf("journal/inflight=%d", inFlight), func(b *testing.B) {
			nc := benchServer(b, natstest.SyncAlways).Connect()
			stream(b, nc, nil)
			drive(b, open(b, nc, journal.Config{GroupCommit: true}), inFlight)
		})
	}
	b.Run("plain/batch=1000", func(b *testing.B) {
		nc := benchServer(b, natstest.SyncAlways).Connect()
		stream(b, nc, nil)
		plainBatches(b, nc, 1000)
	})
}

// plainBatches publishes full batches one after the other, each on new subjects, and waits for each.
func plainBatches(b *testing.B, nc *nats.Conn, size int) {
	b.ReportAllocs()
	b.ResetTimer()
	began, used := time.Now(), cpu()
	for first := 0; first < b.N; first += size {
		n := min(size, b.N-first)
		id := nuid.Next()
		for i := range n {
			m := &nats.Msg{
				Subject: fmt.Sprintf("%so-%09d", messages.SubjectEvent, first+i),
				Header: nats.Header{
					"Nats-Expected-Last-Subject-Sequence": {"0"},
					messages.HeaderEvent:                  {"step_completed"},
					"Nats-Batch-Id":                       {id},
					"Nats-Batch-Sequence":                 {strconv.Itoa(i + 1)},
				},
				Data: benchBody,
			}
			if i < n-1 {
				if err := nc.PublishMsg(m); err != nil {
					b.Fatal(err)
				}
				continue
			}
			m.Header.Set("Nats-Batch-Commit", "1")
			if _, err := nc.RequestMsg(m, natstest.Patience); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.StopTimer()
	report(b, b.N, began, used)
}

func BenchmarkEncode(b *testing.B) {
	e := entry("o-000000001", 3)
	var body []byte
	b.ReportAllocs()
	for b.Loop() {
		body, _ = journal.Encode(body[:0], e)
	}
}

// BenchmarkRead reads orders whose entries alternate with those of thousands of others, 64 at a time: by a walk with and
// without the leader, and page by page, as for entries that do not name the one before.
func BenchmarkRead(b *testing.B) {
	const orders, each, readers = 20000, 3, 64
	for _, c := range []struct {
		name   string
		single bool
		// foreign: a message that no node stored follows each order's last entry, so that the order is read in pages.
		foreign bool
	}{{"walk/single", true, false}, {"walk/leader", false, false}, {"pages", false, true}} {
		b.Run(c.name, func(b *testing.B) {
			nc := benchServer(b).Connect()
			js := stream(b, nc, nil)
			for n := range each {
				for i := range orders {
					m := nats.NewMsg(messages.SubjectEvent + string(order(i)))
					previous := uint64(max(0, (n-1)*orders+i+1))
					m.Data = body(b, order(i), n+1, previous)
					m.Header.Set(messages.HeaderEvent, "step_completed")
					m.Header.Set(messages.HeaderExpected, strconv.FormatUint(previous, 10))
					if _, err := js.PublishMsgAsync(m, jetstream.WithStallWait(natstest.Patience)); err != nil {
						b.Fatal(err)
					}
				}
			}
			for i := range orders {
				if !c.foreign {
					break
				}
				if _, err := js.PublishAsync(messages.SubjectEvent+string(order(i)), []byte("{}"), jetstream.WithStallWait(natstest.Patience)); err != nil {
					b.Fatal(err)
				}
			}
			<-js.PublishAsyncComplete()
			j := open(b, nc, journal.Config{SingleServer: c.single})
			b.ReportAllocs()
			b.ResetTimer()
			began, used := time.Now(), cpu()
			var group sync.WaitGroup
			var next atomic.Int64
			for range readers {
				group.Go(func() {
					for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
						if got := read(b, j, order(int(n*7919)%orders)); len(got) != each {
							b.Errorf("read %d entries, want %d", len(got), each)
						}
					}
				})
			}
			group.Wait()
			b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "reads/s")
			b.ReportMetric(float64((cpu()-used).Microseconds())/float64(b.N), "µs-cpu/read")
		})
	}
}

func BenchmarkScan(b *testing.B) {
	nc := benchServer(b).Connect()
	js := stream(b, nc, nil)
	j := open(b, nc, journal.Config{})
	const orders = 20000
	var group sync.WaitGroup
	for i := range orders {
		id := messages.OrderID(fmt.Sprintf("o-%09d", i))
		group.Add(1)
		c := &chain{j: j, n: perOrder, bytes: body(b, id, 1), group: &group, finished: func() {}}
		c.OrderID, c.Kinds = id, "step_completed"
		c.next()
	}
	group.Wait()
	b.ResetTimer()
	began, used := time.Now(), cpu()
	total := 0
	for b.Loop() {
		err := journal.Scan(context.Background(), js, func(journal.Entry) error { total++; return nil })
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(total)/time.Since(began).Seconds(), "entries/s")
	b.ReportMetric(float64((cpu()-used).Microseconds())/float64(total), "µs-cpu/entry")
}

package journal_test

import (
	"slices"
	"testing"

	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
)

// TestReadStopsAtACheckpoint: Read continues with the first entry after it has read a valid checkpoint; History reads all
// entries.
func TestReadStopsAtACheckpoint(t *testing.T) {
	const n, version = 20, messages.CheckpointVersion
	whole := numbers(1, n)
	for name, c := range map[string]struct {
		// checkpoints: from the number of the entry that contains one to the number of the entry that it names as the first
		checkpoints map[int]*messages.Checkpoint
		first       int
		want        []uint32
		pages       bool
	}{
		"none":              {want: whole},
		"the last one":      {checkpoints: map[int]*messages.Checkpoint{8: {Version: version}, 16: {Version: version}}, first: 1, want: append(numbers(1, 1), numbers(16, n)...)},
		"in the last entry": {checkpoints: map[int]*messages.Checkpoint{n: {Version: version}}, first: 1, want: []uint32{1, n}},
		"in the second":     {checkpoints: map[int]*messages.Checkpoint{2: {Version: version}}, first: 1, want: whole},
		"another version":   {checkpoints: map[int]*messages.Checkpoint{8: {Version: version}, 16: {Version: version + 1}}, first: 1, want: append(numbers(1, 1), numbers(8, n)...)},
		"no version":        {checkpoints: map[int]*messages.Checkpoint{16: {}}, first: 1, want: whole},
		"not the first":     {checkpoints: map[int]*messages.Checkpoint{16: {Version: version}}, first: 2, want: whole, pages: true},
	} {
		for _, way := range ways[:2] {
			t.Run(name+", "+way.name, func(t *testing.T) {
				t.Parallel()
				s := natstest.Start(t)
				nc := s.Connect()
				js := stream(t, nc, nil)
				var sequences []uint64
				var last uint64
				for i := 1; i <= n; i++ {
					e := entry("a", i)
					e.Previous = last
					if cp := c.checkpoints[i]; cp != nil {
						cp := &messages.Checkpoint{Version: cp.Version, First: sequences[c.first-1]}
						e.Checkpoint = cp
					}
					body, err := journal.Encode(nil, e)
					if err != nil {
						t.Fatal(err)
					}
					last = store(t, js, "a", body, last)
					sequences = append(sequences, last)
				}
				j := open(t, nc, way.cfg)
				asked := spy(t, s.Connect())
				entries := read(t, j, "a")
				if got := numbersOf(entries); !slices.Equal(got, c.want) {
					t.Errorf("read entries %d, want %d", got, c.want)
				}
				for _, e := range entries {
					if want := sequences[e.Entry.GetNumber()-1]; e.Sequence != want {
						t.Errorf("entry %d is at %d, want %d", e.Entry.GetNumber(), e.Sequence, want)
					}
				}
				if c.pages {
					natstest.Eventually(t, "pages are read", func() bool { return asked.pages.Load() > 0 })
				} else {
					want := int32(len(c.want))
					natstest.Eventually(t, "one request for each entry", func() bool { return asked.leader.Load()+asked.direct.Load() == want })
					if asked.pages.Load() > 0 {
						t.Error("it was read page by page")
					}
				}
				all, err := j.History(t.Context(), "a")
				if err != nil {
					t.Fatal(err)
				}
				if got := numbersOf(all); !slices.Equal(got, whole) {
					t.Errorf("the history has entries %d", got)
				}
			})
		}
	}
}

// TestReadOfLongHistory: with a checkpoint, a read of a long history takes as many requests as that of a short one.
func TestReadOfLongHistory(t *testing.T) {
	s := natstest.Start(t)
	nc := s.Connect()
	stream(t, nc, nil)
	j := open(t, nc, journal.Config{SingleServer: true})
	const every, n = 16, 600
	var last, first uint64
	for i := 1; i <= n; i++ {
		e := entry("a", i)
		e.Previous = last
		if i > 1 && i%every == 0 {
			e.Checkpoint = &messages.Checkpoint{Version: messages.CheckpointVersion, First: first}
		}
		body, err := journal.Encode(nil, e)
		if err != nil {
			t.Fatal(err)
		}
		r := await(t, appended(j, "a", last, body))
		if r.err != nil {
			t.Fatal(r.err)
		}
		if last = r.seq; i == 1 {
			first = last
		}
	}
	asked := spy(t, s.Connect())
	if got, want := numbersOf(read(t, j, "a")), append(numbers(1, 1), numbers(n-n%every, n)...); !slices.Equal(got, want) {
		t.Errorf("read entries %d, want %d", got, want)
	}
	want := int32(1 + 1 + n%every)
	natstest.Eventually(t, "one request for each entry", func() bool { return asked.direct.Load() == want })
	if asked.pages.Load() != 0 {
		t.Error("pages were read")
	}
}

func numbers(from, to uint32) (all []uint32) {
	for n := from; n <= to; n++ {
		all = append(all, n)
	}
	return all
}

func numbersOf(entries []journal.Entry) (all []uint32) {
	for _, e := range entries {
		all = append(all, e.Entry.GetNumber())
	}
	return all
}

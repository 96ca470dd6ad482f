package ledger

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// model is a set as a map.
func model(s Set) map[uint64]bool {
	m := map[uint64]bool{}
	for _, r := range s {
		for seq := r.First; seq <= r.Last; seq++ {
			m[seq] = true
		}
	}
	return m
}

func TestSetOperations(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	random := func() Set {
		var sequences []uint64
		for range rng.IntN(30) {
			sequences = append(sequences, rng.Uint64N(40))
		}
		return NewSet(sequences)
	}
	for range 2000 {
		a, b := random(), random()
		union, without := model(a), model(a)
		maps.Copy(union, model(b))
		maps.DeleteFunc(without, func(seq uint64, _ bool) bool { return b.Has(seq) })
		last := rng.Uint64N(45)
		upTo := model(a)
		maps.DeleteFunc(upTo, func(seq uint64, _ bool) bool { return seq > last })
		for name, check := range map[string]struct {
			got  Set
			want map[uint64]bool
		}{"union": {a.Union(b), union}, "without": {a.Without(b), without}, "up to": {a.UpTo(last), upTo}} {
			if !maps.Equal(model(check.got), check.want) || check.got.Len() != uint64(len(check.want)) {
				t.Fatalf("%s of %v and %v (%d): %v", name, a, b, last, check.got)
			}
			for i := 1; i < len(check.got); i++ {
				if check.got[i].First <= check.got[i-1].Last+1 {
					t.Fatalf("%s of %v and %v: runs touch in %v", name, a, b, check.got)
				}
			}
		}
		decoded, err := decodeSet(a.encode())
		if err != nil || !slices.Equal(decoded, a) {
			t.Fatalf("%v becomes %v, %v", a, decoded, err)
		}
	}
}

func TestNewSetHasNoZero(t *testing.T) {
	if s := NewSet([]uint64{3, 0, 1, 2, 2}); !slices.Equal(s, Set{{1, 3}}) {
		t.Errorf("the set is %v", s)
	}
}

func TestInvalidRuns(t *testing.T) {
	for _, runs := range [][]uint64{{1}, {1, 0}, {1 << 63, 1}, {5, 1 << 63}, {0, 1 << 62, 1 << 62, 1 << 62}} {
		if s, err := decodeSet(runs); err == nil {
			t.Errorf("%v is read as %v", runs, s)
		}
	}
}

package ledger

import (
	"cmp"
	"errors"
	"iter"
	"math"
	"slices"
	"sort"
)

// Run is a run of inbox sequences, First and Last included.
type Run struct{ First, Last uint64 }

// Len is the number of sequences.
func (r Run) Len() uint64 { return r.Last - r.First + 1 }

// Set is a set of inbox sequences, which begin at 1. Its runs are in ascending order, and never touch each other.
type Set []Run

// Range returns the sequences from first to last; none if last is before first.
func Range(first, last uint64) Set {
	if first > last {
		return nil
	}
	return Set{{first, last}}
}

// NewSet returns the set of the sequences, whose order it changes. 0 is no sequence and is left out.
func NewSet(sequences []uint64) Set {
	slices.Sort(sequences)
	var s Set
	for _, seq := range sequences {
		if seq > 0 {
			s = s.add(Run{seq, seq})
		}
	}
	return s
}

// merge returns the set of the runs, whose order it changes.
func merge(runs []Run) Set {
	slices.SortFunc(runs, func(a, b Run) int { return cmp.Compare(a.First, b.First) })
	var s Set
	for _, r := range runs {
		s = s.add(r)
	}
	return s
}

// add adds a run that does not begin before the last one.
func (s Set) add(r Run) Set {
	if n := len(s); n > 0 && r.First <= s[n-1].Last+1 {
		s[n-1].Last = max(s[n-1].Last, r.Last)
		return s
	}
	return append(s, r)
}

// Len is the number of sequences.
func (s Set) Len() (n uint64) {
	for _, r := range s {
		n += r.Len()
	}
	return n
}

// Has reports whether the set has the sequence.
func (s Set) Has(seq uint64) bool {
	i := sort.Search(len(s), func(i int) bool { return s[i].Last >= seq })
	return i < len(s) && s[i].First <= seq
}

// Union returns the sequences of both sets.
func (s Set) Union(other Set) Set {
	if len(other) == 0 {
		return s
	}
	all := make(Set, 0, len(s)+len(other))
	for len(s) > 0 && len(other) > 0 {
		if s[0].First > other[0].First {
			s, other = other, s
		}
		all, s = all.add(s[0]), s[1:]
	}
	for _, r := range slices.Concat(s, other) {
		all = all.add(r)
	}
	return all
}

// Without returns the sequences that other does not have.
func (s Set) Without(other Set) Set {
	var left Set
	for _, r := range s {
		for len(other) > 0 && other[0].Last < r.First {
			other = other[1:]
		}
		for _, o := range other {
			if o.First > r.Last || r.First > r.Last {
				break
			}
			if o.First > r.First {
				left = append(left, Run{r.First, o.First - 1})
			}
			r.First = o.Last + 1
		}
		if r.First <= r.Last {
			left = append(left, r)
		}
	}
	return left
}

// UpTo returns the sequences up to last.
func (s Set) UpTo(last uint64) Set { return s.Without(Range(last+1, math.MaxUint64-1)) }

// encode writes the runs in the form of LedgerRecord.
func (s Set) encode() []uint64 {
	numbers := make([]uint64, 0, 2*len(s))
	end := uint64(0)
	for _, r := range s {
		numbers = append(numbers, r.First-end-1, r.Len())
		end = r.Last
	}
	return numbers
}

var errRuns = errors.New("invalid runs")

// decodeSet reads what encode wrote.
func decodeSet(numbers []uint64) (Set, error) {
	if len(numbers)%2 != 0 {
		return nil, errRuns
	}
	s := make(Set, 0, len(numbers)/2)
	end := uint64(0)
	for pair := range slices.Chunk(numbers, 2) {
		gap, length := pair[0], pair[1]
		if length == 0 || gap > math.MaxInt64-end || length > math.MaxInt64-end-gap {
			return nil, errRuns
		}
		r := Run{end + gap + 1, end + gap + length}
		s, end = s.add(r), r.Last
	}
	return s, nil
}

// chunks divides the set into sets of at most n runs.
func (s Set) chunks(n int) iter.Seq[Set] { return slices.Chunk(s, n) }

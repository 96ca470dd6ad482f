package downstream

import "time"

// silence tells a downstream that answers nobody from one that fails at random: where many calls are made, any row of
// failures comes about by chance. Its gate's lock guards it.
type silence struct {
	// heard: somebody has answered. usual is how long that takes, a moving mean; a guess before.
	heard bool
	usual time.Duration
	// Since the last answer: asked is how many calls were let in, first when the first of them was, row how many failures
	// count.
	asked int
	first time.Time
	row   int
}

// ask takes note of a call that is let in; telling: it is one that counts, should it stay without an answer.
func (s *silence) ask(now time.Time, telling bool) {
	if s.first.IsZero() {
		s.first = now
	}
	if telling {
		s.asked++
	}
}

// withdraw forgets a call let in at that time: it did not get as far as the downstream.
func (s *silence) withdraw(at time.Time) {
	if s.asked == 0 || at.Before(s.first) {
		return
	}
	if s.asked--; s.asked == 0 {
		s.first = time.Time{}
	}
}

// answer ends the silence; took is how long the answer took.
func (s *silence) answer(took time.Duration) {
	if !s.heard {
		s.heard, s.usual = true, took
	}
	s.usual += (took - s.usual) / usualOver
	s.asked, s.first, s.row = 0, time.Time{}, 0
}

// outage reports whether the silence is more than chance. alone: nobody listens, and no call is under way that might
// still be answered.
func (s *silence) outage(now time.Time, alone bool) bool {
	if s.row < fewFailures || s.first.IsZero() {
		return false
	}
	if !s.heard && alone {
		return true
	}
	lasted := now.Sub(s.first)
	return lasted >= longSilence || s.asked >= manyCalls && lasted >= patientFor*s.usual
}

/* The order protocol, rules R0 to R8 of docs/protocol.md: one order and all deliveries about it, on any number of nodes.
   README.md maps this file to the code.

   The journal is represented by the state folded from it. An append makes all other slots stale, a read makes its reader
   fresh; a stale slot's append conflicts. So nodes that fence each other for ever are a cycle of the state graph.

   A message whose holder died is delivered again at once, one with a live holder only by spending `expire`. A nak'ed
   message is delivered again when its reason is gone, or earlier by spending `soon`; an acknowledged one by spending
   `revert`. Every budget starts at any value from 0 to its maximum: "no livelock" is "no cycle" (-DNP), "no deadlock" is
   "every run that cannot go on has ended well" (Monitor).

   BREAK_… are mutations, DRAFT_… rules of the first draft, LIMIT_… dropped assumptions: the search must find each. */

#include "environment.pml"
#include "core.pml"

/* Whether the reason of a nak is gone. */
#ifdef DRAFT_CREATED
#define DUE(x) (!EARLIER(x) && (status!=NONE || TYPE(x)==CREATED))
#else
#define DUE(x) (TYPE(x)==CREATED || (!EARLIER(x) && (status!=NONE || (aged && NOHOLDER(x) && !(FOLLOWS(2) || FOLLOWS(3))))))
#endif

/* R3.6: nothing fences a dead letter. Therefore a message from before its order's created message is dead-lettered, nak'ed
   or recorded only while no redelivery of it can exist. */
#if defined(BREAK_GUARD)
#define MUSTDROP false
#elif defined(BREAK_EFFECT)
#define MUSTDROP (late[id] && saw==NONE)
#elif defined(BREAK_BOUNDARY)
#define MUSTDROP (late[id] && aged && (saw==NONE || m<accepted))
#elif defined(BREAK_FULLGUARD)
#define MUSTDROP (late[id] && (saw==NONE || m<accepted))
#else
#define MUSTDROP (late[id] && (saw==NONE || m<accepted || SAWFULL))
#endif
/* Whether the message is a signal that a parked order does not wait for, or one beyond the bound at the time of the read. */
#define UNAWAITED (TYPE(m)==SIGNAL && !waiting)
#ifdef BOUND
#define SAWFULL toomany
#define READFULL toomany = (status!=NONE && TYPE(m)==SIGNAL && signals>=BOUND)
#else
#define SAWFULL false
#define READFULL skip
#endif
#define AWAITEDSIGNAL (saw==PARKED)
#define EXCESS (SAWFULL && !AWAITEDSIGNAL)

/* R3.6: a message that waits is nak'ed without a search of the inbox, but not if a redelivery of it can exist. */
#ifdef BREAK_AGAIN
#define AWAITSAGAIN (status==NONE && TYPE(m)!=CREATED && !aged)
#else
#define AWAITSAGAIN (status==NONE && TYPE(m)!=CREATED && !aged && !late[id])
#endif

/* A created message that was delivered before, or late, is looked around (R2). */
#ifdef BACKLOG
#define NEW GATHER
#else
#define NEW ACCEPT
#endif

/* Whether the message ends attention (R3.7). */
#ifdef BREAK_DEAF
#define ENDSATTENTION(x) (TYPE(x)==CANCEL)
#else
#define ENDSATTENTION(x) URGES(x)
#endif
/* Whether a driver whose append conflicted may go on (merge in read.go). */
#if defined(BREAK_FENCE) || defined(BREAK_IDENTITY)
#define SAMEOWNER true
#else
#define SAMEOWNER (owner==id)
#endif
/* The messages that the actor of a driver acknowledges without a read: their effects are final (R7). */
#define ARRIVES(x) ((pc==CALL || pc==APPEND) && m!=x && at[x]==AVAILABLE)
#define STALEMSG(x) (ARRIVES(x) && (x==accepted || x<=knownwatermark || TYPE(x)==CREATED))
#define STALEWAKE(x) (ARRIVES(x) && wakes[x]<=knownpark)

/* A restarted actor has lost what it called: its delivery takes over from itself, under a new incarnation. */
#ifdef BREAK_RESTART
#define RENEW skip
#else
#define RENEW if :: owner==id -> owner = NOBODY :: else fi
#endif
#ifdef BREAK_TIMERFIRST
#define TIMERFIRST true
#else
#define TIMERFIRST false
#endif
#ifdef BREAK_CONFIRM
#define WITHOUTORDER true
#else
#define WITHOUTORDER (status==NONE && !MUSTDROP)
#endif
/* R3.6: whether the inbox holds a created message after m. An earlier one delays m by R3.5. */
#ifdef BREAK_AHEAD
#define AHEAD false
#else
#define AHEAD ((m<2 && FOLLOWS(2)) || (m<3 && FOLLOWS(3)))
#endif
/* R2: what is recorded with the acceptance: all that is stored, in its order, up to a message that may be about to be
   dead-lettered, because it was too old when the created message was published. */
#define WAITS(x) (LIES(x) && TYPE(x)!=CREATED)
#ifdef BREAK_RIPE
#define LEFT_OUT(x) false
#else
#define LEFT_OUT(x) (WAITS(x) && x<m && (ripe & BIT(m)))
#endif
#ifdef BREAK_GAP
#define TAKEN(x) (WAITS(x) && !LEFT_OUT(x))
#else
#define TAKEN(x) (WAITS(x) && !LEFT_OUT(1) && !(x>=2 && LEFT_OUT(2)))
#endif
/* R3.6: whether the message was too old before the inbox was searched, and nothing follows that creates its order. */
#ifdef BREAK_AGELATER
#define TOOOLD true
#define OLD (aged && fact==UNKNOWN)
#else
#define TOOOLD aged
#define OLD (fact==UNKNOWN)
#endif
/* A cancel in an entry of its own: the driver may have made the call before. */
#ifdef BREAK_ALONE
#define ALONE if :: TYPE(m)==CANCEL && done==0 -> closed = 1 :: else fi
#else
#define ALONE
#endif
#define BEHIND (((before & 1) && LIES(1)) || ((before & 2) && LIES(2)))

proctype Slot(byte id) {
  byte pc = FREE, m = 0, s = 0, fact = NOTHING, saw = NONE, before = 0, along = 0;
  bit undo = 0, settling = 0, maybe = 0;
#ifdef SHARED
  byte knownwatermark = 0, knownpark = 0;
#endif
#ifdef BOUND
  bit toomany = 0;
#endif
  do
  /* ---- deliveries ---- */
  :: atomic { pc==FREE && LOWESTFREE && at[1]==AVAILABLE -> WAITOVER(1); take(1) }
  :: atomic { pc==FREE && LOWESTFREE && at[1]==PUTOFF && DUE(1) -> take(1) }
  :: atomic { pc==FREE && LOWESTFREE && at[2]==AVAILABLE -> WAITOVER(2); take(2) }
  :: atomic { pc==FREE && LOWESTFREE && at[2]==PUTOFF && DUE(2) -> take(2) }
  :: atomic { pc==FREE && LOWESTFREE && at[3]==AVAILABLE -> WAITOVER(3); take(3) }
  :: atomic { pc==FREE && LOWESTFREE && at[3]==PUTOFF && DUE(3) -> take(3) }
  :: atomic { pc==FREE && LOWESTFREE && (at[4]==AVAILABLE || at[4]==PUTOFF) -> take(4) }
  :: atomic { pc==FREE && LOWESTFREE && (at[5]==AVAILABLE || at[5]==PUTOFF) -> take(5) }
  :: atomic { pc==FREE && LOWESTFREE && soon>0 && at[1]==PUTOFF && !DUE(1) -> soon--; take(1) }
  :: atomic { pc==FREE && LOWESTFREE && soon>0 && at[2]==PUTOFF && !DUE(2) -> soon--; take(2) }
  :: atomic { pc==FREE && LOWESTFREE && soon>0 && at[3]==PUTOFF && !DUE(3) -> soon--; take(3) }
  :: atomic { pc==FREE && LOWESTFREE && expire>0 && at[1]==HELD && !SURE(1) -> expire = expire-SPENT; WAITOVER(1); take(1) }
  :: atomic { pc==FREE && LOWESTFREE && expire>0 && at[2]==HELD && !SURE(2) -> expire = expire-SPENT; WAITOVER(2); take(2) }
  :: atomic { pc==FREE && LOWESTFREE && expire>0 && at[3]==HELD && !SURE(3) -> expire = expire-SPENT; WAITOVER(3); take(3) }
  :: atomic { pc==FREE && LOWESTFREE && expire>0 && at[4]==HELD -> expire = expire-SPENT; take(4) }
  :: atomic { pc==FREE && LOWESTFREE && expire>0 && at[5]==HELD -> expire = expire-SPENT; take(5) }
  :: atomic { pc==FREE && LOWESTFREE && revert>0 && at[1]==SETTLED -> reverted(1); take(1) }
  :: atomic { pc==FREE && LOWESTFREE && revert>0 && at[2]==SETTLED -> reverted(2); take(2) }
  :: atomic { pc==FREE && LOWESTFREE && revert>0 && at[3]==SETTLED -> reverted(3); take(3) }

  /* ---- failures ---- */
  :: atomic { pc!=FREE && crash>0 -> crash--; SAY("the node dies"); drop() }
  :: atomic { (pc==CALL || pc==APPEND) && restart>0 -> restart--; SAY("the actor restarts");
      RENEW; fact = NOTHING; undo = 0; settling = 0; maybe = 0; s = 0; pc = READ }
  :: atomic { pc==CALL && fail>0 -> fail--; SAY("the drivers keep failing"); fact = GAVEUP; pc = APPEND }

  /* ---- R2: Delivery.Fresh ---- */
  :: atomic { pc==BLIND ->
      if
      :: status!=NONE -> SAY("append accepted: conflict"); pc = READ
      :: else -> SAY("append accepted, blind"); accept(); STOREDTHEN(goto rests)
      fi }
#ifdef BACKLOG
  :: atomic { pc==GATHER -> along = TAKEN(1) + 2*TAKEN(2) + 4*TAKEN(3); pc = ACCEPT }
#endif

  /* ---- R3: the rows of table.go up to CheckPredecessors ---- */
  :: atomic { pc==READ && !WAKE(m) -> stale[id] = 0;
      if
      :: status==TERMINAL -> SAY("R3.1 terminal"); pc = ACK
      :: status!=TERMINAL && RECORDED(m) && driver==m && owner==id -> SAY("R4 owner already"); goto drives
      :: status!=TERMINAL && RECORDED(m) && driver==m && owner!=id -> SAY("R3.2 recorded, the driver");
#ifdef BREAK_FENCE
         owner = id; goto drives
#else
         pc = RESUME
#endif
      :: status==PARKED && RECORDED(m) -> SAY("R3.3 recorded, parked");
#ifdef BREAK_REPAIR
         pc = ACK
#else
         s = park; pc = SCHEDULE
#endif
      :: (status==DRIVEN || status==ATTENTION) && RECORDED(m) && driver!=m -> SAY("R3.3 recorded");
#if defined(BREAK_TAKEOVER)
         pc = (status==DRIVEN -> RESUME : ACK)
#elif defined(BREAK_RETRYTWICE)
         pc = (status==ATTENTION && TYPE(m)==RETRY -> RESUME : ACK)
#else
         pc = ACK
#endif
#ifdef DRAFT_CREATED
      :: status!=TERMINAL && !RECORDED(m) && TYPE(m)==CREATED && EARLIER(m) -> SAY("an earlier message is open"); pc = LATER
      :: status==NONE && TYPE(m)==CREATED && !EARLIER(m) -> SAY("R3.4 created"); pc = ACCEPT
#else
      :: status==NONE && TYPE(m)==CREATED -> SAY("R3.4 created"); pc = NEW
#endif
      :: status!=NONE && status!=TERMINAL && !RECORDED(m) && TYPE(m)==CREATED -> SAY("R3.4 duplicate"); pc = ACK
      :: AWAITSAGAIN -> SAY("R3.6 again"); pc = LATER; sure = sure | BIT(m)
      :: status==NONE && TYPE(m)!=CREATED && aged && !late[id] && soon>0 ->      /* too many are being searched for */
         soon--; SAY("R3.6 again, too old"); pc = LATER; sure = sure | BIT(m)
      :: status!=TERMINAL && !RECORDED(m) && TYPE(m)!=CREATED -> SAY("not recorded");
         saw = (status==PARKED && UNAWAITED -> RESTING : status); READFULL;
         before = (m>=2 && HOLDSBACK(1)) + 2*(m>=3 && HOLDSBACK(2)); pc = LOOK
      fi }

  /* ---- R3.5 to R3.8: Receive, the rest ---- */
  :: atomic { pc==LOOK ->
      if
#ifdef BREAK_BEHIND
      :: BEHIND -> SAY("R3.5 an earlier message is open"); pc = LATER
      :: !BEHIND && MUSTDROP -> SAY("R3.6 held too long"); drop()
#else
      :: MUSTDROP -> SAY("R3.6 held too long"); drop()
      :: !MUSTDROP && BEHIND && !EXCESS -> SAY("R3.5 an earlier message is open"); pc = LATER
#endif
      :: !MUSTDROP && EXCESS -> SAY("R3.8 too many signals"); pc = DEADLETTER
      :: !BEHIND && !MUSTDROP && saw==NONE -> fact = (TOOOLD && !AHEAD -> UNKNOWN : NOTHING); pc = CONFIRM
      :: !BEHIND && !MUSTDROP && (saw==PARKED || (saw==ATTENTION && ENDSATTENTION(m))) -> pc = TAKE
      :: !BEHIND && !MUSTDROP && (saw==DRIVEN || saw==RESTING || (saw==ATTENTION && !ENDSATTENTION(m))) && !EXCESS -> pc = RECORD
      fi;
      if :: pc==LATER || pc==DEADLETTER -> sure = sure | BIT(m) :: else fi;
      saw = NONE; before = 0 }
  :: atomic { pc==CONFIRM ->
      if
#ifndef BREAK_CONFIRM
      :: status!=NONE -> pc = READ
      :: status==NONE && MUSTDROP -> SAY("R3.6 held too long"); drop()
#endif
      :: WITHOUTORDER && OLD -> SAY("R3.6 unknown and too old"); pc = DEADLETTER; sure = sure | BIT(m)
      :: WITHOUTORDER && !OLD -> SAY("R3.6 unknown"); pc = LATER; sure = sure | BIT(m)
      fi;
      fact = NOTHING }
  :: atomic { pc==ACCEPT ->
      if
      :: status!=NONE -> SAY("append accepted: conflict"); along = 0; pc = READ
      :: else -> SAY("append accepted"); accept(); STOREDTHEN(goto rests)
      fi }
#ifdef BREAK_ACKFIRST
  :: atomic { pc==RECORD && at[m]==HELD -> SAY("ack before the journal"); MUST("I1", recorded & BIT(m)); acknowledge(m) }
#endif
  :: atomic { pc==RECORD ->
      if
      :: stale[id] -> SAY("append recorded: conflict"); pc = READ
      :: else -> SAY("R3.8 append recorded"); record(m); ALONE; STOREDTHEN(pc = ACK)
      fi }
  :: atomic { pc==TAKE ->
      if
      :: stale[id] -> SAY("append recorded, resumed: conflict"); pc = READ
      :: else -> SAY("R3.7 append recorded, resumed");
#if defined(BREAK_SPLIT)
         record(m); STOREDTHEN(pc = RESUME)
#elif defined(BREAK_SKIPRECORD)
         if :: TYPE(m)==SKIP -> pass = (status==ATTENTION) :: else -> record(m) fi;
         own(); STOREDTHEN(goto drives)
#else
         record(m); own(); STOREDTHEN(goto drives)
#endif
      fi }

  /* ---- R5: receiveWake ---- */
  :: atomic { pc==READ && WAKE(m) -> stale[id] = 0;
      if
      :: status==TERMINAL -> SAY("R5.1 terminal"); pc = ACK
      :: status==DRIVEN && driver==m && owner==id -> SAY("R4 owner already"); goto drives
      :: status==DRIVEN && driver==m && owner!=id -> SAY("R5.2 the driver");
#ifdef BREAK_FENCE
         owner = id; goto drives
#else
         pc = RESUME
#endif
      :: status==PARKED && wakes[m]==park -> SAY("R5.3 due"); pc = RESUME
#ifdef DRAFT_WAKE
      :: status==PARKED && wakes[m]==park && early>0 -> early--; SAY("too early"); s = park; pc = SCHEDULE
      :: status==PARKED && wakes[m]!=park -> SAY("another park, due"); pc = RESUME
      :: status==PARKED && wakes[m]!=park -> SAY("another park, too early"); s = park; pc = SCHEDULE
#else
      :: status==PARKED && wakes[m]==park && early>0 -> early--; SAY("R5.3 early by the clock"); pc = LATER
      :: status==PARKED && wakes[m]!=park -> SAY("R5.4 another park");
#ifdef BREAK_OLDWAKE
         pc = ACK
#else
         s = park; pc = SCHEDULE
#endif
#endif
      :: (status==DRIVEN && driver!=m) || status==ATTENTION -> SAY("R5.5 too late"); pc = ACK
      fi }
  :: atomic { pc==RESUME ->
      if
#ifdef BREAK_REFUSEDWAKE
      :: stale[id] && WAKE(m) -> SAY("append resumed: conflict"); pc = ACK
      :: stale[id] && !WAKE(m) -> SAY("append resumed: conflict"); pc = READ
#else
      :: stale[id] -> SAY("append resumed: conflict"); pc = READ
#endif
      :: else -> SAY("append resumed"); own(); STOREDTHEN(goto drives)
      fi }

  /* ---- R4: driving ---- */
  :: atomic { pc==CALL && !undo -> perform(); pc = APPEND;
      if :: TIMERFIRST && (fact==PENDING || fact==POSTPONED) -> timer = park+1 :: else fi }
  :: atomic { pc==CALL && undo -> compensate(); pc = APPEND }
#ifdef BREAK_ACKEARLY
  :: atomic { pc==APPEND && fact==ANSWERED && !undo && s==K && !BACKWARD && at[m]==HELD -> SAY("ack before the last entry"); acknowledge(m) }
#endif
  :: atomic { pc==APPEND ->
      if
      :: stale[id] -> SAY("append: conflict"); pc = REREAD
      :: !stale[id] && !COUNTS && LEAVESDOUBT -> SAY("append step failed, in doubt"); unsure = 1; STOREDTHEN(goto drives)
      :: !stale[id] && !COUNTS && !LEAVESDOUBT -> SAY("the answer is obsolete"); goto drives
      :: !stale[id] && COUNTS ->
         MUST("I3", owner==id && status==DRIVEN);
         amount();
         STOREDTHEN(goto rests)
      fi }
  /* Reached only by goto, while the slot is fresh. */
  :: atomic { false ->
rests:
      if
      :: status==PARKED && !TIMERFIRST -> s = park; pc = SCHEDULE
      :: status==ATTENTION || status==TERMINAL || (status==PARKED && TIMERFIRST) -> pc = ACK
#ifdef BREAK_HOLD
      :: status==DRIVEN && fact==RETRIED -> pc = ACK
#endif
      :: status==DRIVEN ->
drives:
         next()
      fi }
  :: atomic { pc==REREAD -> stale[id] = 0;
      if
      :: driver==m && SAMEOWNER -> SAY("still the owner: merge"); REMEMBER
#if defined(BREAK_FENCE)
         owner = id;
#endif
         if
         :: fact==PASSOVER || fact==BYSIGNAL || fact==KNOWN || fact==END -> goto drives
         :: else -> pc = APPEND
         fi
      :: else -> SAY("fenced");
#if defined(BREAK_FENCEDNAK)
         pc = LATER
#elif defined(BREAK_FENCEDACK)
         pc = ACK
#else
         drop()
#endif
      fi }
  :: atomic { pc==SCHEDULE -> SAY("schedule"); timer = s; s = 0; pc = ACK }

#ifdef SHARED
  /* ---- further deliveries to the actor that drives ---- */
  :: atomic { STALEMSG(1) -> SAY("message 1 is stale: ack"); MUST("I1", (recorded & 1) || TYPE(1)==CREATED); remember(1); acknowledge(1) }
  :: atomic { STALEMSG(2) -> SAY("message 2 is stale: ack"); MUST("I1", (recorded & 2) || TYPE(2)==CREATED); remember(2); acknowledge(2) }
  :: atomic { STALEMSG(3) -> SAY("message 3 is stale: ack"); MUST("I1", (recorded & 4) || TYPE(3)==CREATED); remember(3); acknowledge(3) }
#ifdef BREAK_MEMORY
  :: atomic { STALEWAKE(4) -> SAY("wake-up 4 is stale: ack"); acknowledge(4); if :: readers[4]==0 -> at[4] = ABSENT; wakes[4] = 0 :: else fi }
  :: atomic { STALEWAKE(5) -> SAY("wake-up 5 is stale: ack"); acknowledge(5); if :: readers[5]==0 -> at[5] = ABSENT; wakes[5] = 0 :: else fi }
#endif
#endif

  /* ---- settling ---- */
  :: atomic { pc==ACK && !ACCOUNTED(m) && LEDGERFIRST -> SAY("without effect, into the ledger"); remember(m) }
  :: atomic { pc==ACK && (ACCOUNTED(m) || !LEDGERFIRST) -> SAY("ack");
      MUST("I5", at[m]==GONE || ACCOUNTED(m));                             /* what leaves the inbox is in the journal or the ledger */
      MUST("I1", at[m]==GONE || WAKE(m) || status==TERMINAL || (recorded & BIT(m)) || (TYPE(m)==CREATED && status!=NONE));
      acknowledge(m); finish() }
  :: atomic { pc==LATER -> SAY("later"); if :: at[m]==HELD -> at[m] = PUTOFF; holder[m] = 0 :: else fi; finish() }
  :: atomic { pc==DEADLETTER -> SAY("dead letter");
      MUST("I5", !(recorded & BIT(m)));                                    /* a dead letter took no effect */
      MUST("I5", SAWFULL || accepted==0 || accepted>m);                    /* and did not come after its order, or is one signal too many */
      MUST("I5", SAWFULL || (!INTIME(1) && !INTIME(2) && !INTIME(3)));     /* whose created message did not come in time */
#ifdef BREAK_DEADSTAYS
      acknowledge(m); finish() }
#else
      remove(m); finish() }
#endif
  od
}


/* ---- clients, clock, checks ---- */
inline publish(x) { at[x] = AVAILABLE; ripe = ripe + ((aged && TYPE(x)==CREATED) -> BIT(x) : 0) }
proctype Clients() {
  atomic { publish(1); printf("@message 1 is published\n") }
#if M2!=0
  atomic { publish(2); printf("@message 2 is published\n") }
#endif
#if M3!=0
  atomic { publish(3); printf("@message 3 is published\n") }
#endif
}
inline fire(x) { at[x] = AVAILABLE; wakes[x] = timer; printf("@the timer of park %d fires: wake-up %d\n", timer, x); timer = 0 }
proctype Clock() {
end:
  do
  :: atomic { timer!=0 && at[4]==ABSENT && readers[4]==0 -> fire(4) }
  :: atomic { timer!=0 && (at[4]!=ABSENT || readers[4]!=0) && at[5]==ABSENT && readers[5]==0 -> fire(5) }
#ifdef AGES
  :: atomic { !aged -> aged = 1; printf("@messages about an unknown order grow too old\n") }
#endif
  /* The purge: up to the acknowledgement floor, which messages of other orders can hold down. */
  :: atomic { sweep && at[1]==SETTLED -> at[1] = GONE }
  :: atomic { sweep && at[2]==SETTLED && at[1]==GONE -> at[2] = GONE }
  :: atomic { sweep && at[3]==SETTLED && at[2]==GONE && at[1]==GONE -> at[3] = GONE }
  od
}

/* I2. Where a mutation breaks it by definition, CONSEQUENCE asks for more: that no slot holds a message of the order either. */
#ifdef CONSEQUENCE
#define UNDRIVEN (status==DRIVEN && QUIET && (driver==0 || !STORED(driver)))
#else
#define UNDRIVEN (status==DRIVEN && (driver==0 || !STORED(driver)))
#endif
#define UNWAKEABLE (status==PARKED && QUIET && timer==0 && INBOXEMPTY && !STORED(4) && !STORED(5))
/* I4. */
#define MISSING(i) (effect[i]!=PERFORMED && !(passed & BIT(i)))
#define LEFT(i) (MAYSTAND(i) && !(passed & BIT(i)))
#define HALF (status==TERMINAL && ((completed && (MISSING(1) || MISSING(2))) || (!completed && (LEFT(1) || LEFT(2)))))
/* The end of every run: no open message in a stream, and the order has ended, or rests in attention and no message that
   would end it was recorded since. */
#define WELL (QUIET && INBOXEMPTY && !STORED(4) && !STORED(5) && timer==0 && \
  (status==TERMINAL || (status==ATTENTION && !unheard) || (status==NONE && !EXISTS)))
#ifndef NP
proctype Monitor() {
  if
  :: atomic { UNDRIVEN -> MUST("I2, the driver's message is not stored", false) }
  :: atomic { UNWAKEABLE -> MUST("I2, parked and nothing will wake the order", false) }
  :: atomic { HALF -> MUST("I4, the effects are not what the end says", false) }
  :: atomic { timeout ->
      printf("@the end: status %d, driver %d, timer %d, messages %d %d %d, wake-ups %d %d\n", status, driver, timer, at[1], at[2], at[3], at[4], at[5]);
      MUST("end", WELL) }
  fi
}
#endif

init { atomic {
  select(crash : 0 .. CRASH); select(expire : 0 .. EXPIRE); select(lose : 0 .. LOSE); select(restart : 0 .. RESTART);
  select(pend : 0 .. PEND); select(again : 0 .. AGAIN); select(hold : 0 .. HOLD); select(fail : 0 .. FAIL); select(refuse : 0 .. REFUSE);
  select(bare : 0 .. BARE); select(garbled : 0 .. GARBLED); select(unsent : 0 .. UNSENT); select(undopend : 0 .. UNDOPEND);
  select(early : 0 .. EARLY); select(soon : 0 .. SOON); select(revert : 0 .. REVERT);
#ifdef STAYS
  select(sweep : 0 .. 1);
#endif
  run Clients(); run Clock();
#ifndef NP
  run Monitor();
#endif
  run Slot(1); run Slot(2);
#if W==3
  run Slot(3);
#endif
} }

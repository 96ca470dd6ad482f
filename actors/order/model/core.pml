/* The actions of a slot on its delivery and on the journal: the folding (apply.go), the driver's moves (next.go, undo.go)
   and what it appends for a result (reply.go). order.pml decides when. */

/* The next action of a slot. */
#define FREE 0
#define BLIND 1        /* R2: append OrderAccepted without reading */
#define READ 2         /* read the journal and decide */
#define LOOK 3         /* look into the inbox for earlier messages */
#define ACCEPT 4
#define RECORD 5
#define TAKE 6         /* append [recorded, OrderResumed] */
#define RESUME 7       /* append OrderResumed */
#define CALL 8
#define APPEND 9       /* append the result or the move */
#define REREAD 10
#define SCHEDULE 11
#define ACK 12
#define LATER 13
#define DEADLETTER 14
#define CONFIRM 15    /* the inbox holds nothing earlier: is there still no order? */
#define GATHER 16     /* look into the inbox for what is stored about a new order */
/* The value that a driver holds: the result of a call (reply.go), or a move without a call (next.go). */
#define NOTHING 0
#define ANSWERED 1
#define REFUSED 2
#define PENDING 3
#define FAILED 4
#define POSTPONED 5
#define GAVEUP 6
#define PASSOVER 7
#define BYSIGNAL 8
#define END 9
#define RETRIED 10
#define DENIED 11      /* no, by its status alone */
#define UNREADABLE 12  /* performed, says an answer that cannot be read */
#define NOTSENT 13
#define KNOWN 14       /* the step is known to be performed: no call */
#define UNKNOWN 15     /* of a message: too old, and its order is not in the inbox either */

#define SAY(x) printf("@slot %d, message %d: ", id, m); printf(x); printf("\n")

/* An actor's memory matters only where it answers without a read. */
#ifdef SHARED
#define REMEMBER knownwatermark = watermark; knownpark = park;
#define FORGET knownwatermark = 0; knownpark = 0;
#else
#define REMEMBER
#define FORGET
#endif
#ifdef BOUND
#define FORGETFULL toomany = 0;
#else
#define FORGETFULL
#endif

inline take(x) {
  m = x; at[x] = HELD; holder[x] = id; holds[id] = x; pc = READ;
  if
  :: WAKE(x) -> readers[x]++
  :: !WAKE(x) && TYPE(x)==CREATED && !delivered[x] -> delivered[x] = 1; pc = BLIND         /* Delivery.Fresh */
#ifdef BACKLOG
  :: !WAKE(x) && TYPE(x)==CREATED && !delivered[x] -> delivered[x] = 1; pc = GATHER        /* it was delivered late */
#endif
  :: else
  fi;
  SAY("delivered")
}

/* A killed server has lost the acknowledgement, and the count of deliveries with it. No ack wait is over. */
inline reverted(x) { revert--; delivered[x] = 0; printf("@the acknowledgement of message %d is lost\n", x) }

/* The slot has settled or dropped its delivery; its identity is never used again. */
inline finish() {
  if :: (pc==DEADLETTER || pc==LATER) && !WAKE(m) -> sure = sure & ~BIT(m) :: else fi;
  if
  :: WAKE(m) -> readers[m]--; if :: at[m]==GONE && readers[m]==0 -> at[m] = ABSENT; wakes[m] = 0 :: else fi
  :: else
  fi;
  if :: owner==id -> owner = NOBODY :: else fi;
  m = 0; s = 0; undo = 0; settling = 0; maybe = 0; fact = NOTHING; saw = NONE; before = 0; along = 0; pc = FREE; FORGET FORGETFULL
  holds[id] = 0; stale[id] = 0; late[id] = 0
}

/* No ack, no nak, no progress: the stream delivers the message again. */
inline drop() {
  if :: at[m]==HELD && holder[m]==id -> at[m] = AVAILABLE; holder[m] = 0 :: else fi;
  finish()
}

inline remove(x) { if :: at[x]!=ABSENT -> at[x] = GONE; holder[x] = 0 :: else fi }
/* An acknowledgement removes the message whoever holds it (R7). */
inline acknowledge(x) { if :: STORED(x) -> at[x] = ACKED(x); holder[x] = 0 :: else fi }

/* R7: a message that the journal does not name is acknowledged once the ledger has it. */
#ifdef BREAK_LEDGER
#define LEDGERFIRST false
#else
#define LEDGERFIRST true
#endif
inline remember(x) { if :: !ACCOUNTED(x) -> ledger = ledger | BIT(x) :: else fi }

/* The append took effect. A lost reply counts as a conflict (R0). */
#define STOREDTHEN(go) OUTDATE; if :: lose>0 -> lose--; stale[id] = 1; SAY("(reply lost)") :: true -> go fi

/* The driver's next move, from a fresh state: State.Next. */
inline next() {
  fact = NOTHING; undo = 0; settling = BACKWARD; maybe = 0; s = done+1; pc = CALL; REMEMBER
  if
  :: pass -> fact = PASSOVER; pc = APPEND
  :: !pass && BACKWARD && UNSETTLED -> MUST("R4", done<K); if :: known -> fact = KNOWN; pc = APPEND :: else fi
  :: !pass && BACKWARD && !UNSETTLED -> s = NEXTUNDO; undo = 1;
     if
     :: s==0 -> undo = 0; fact = END; pc = APPEND
     :: s!=0 && waiting && signal -> fact = BYSIGNAL; pc = APPEND
     :: else
     fi
  :: !pass && !BACKWARD -> MUST("R4", done<K); if :: waiting && signal -> fact = BYSIGNAL; pc = APPEND :: else fi
  fi
}

/* A driver that is replaced may have made the current call. */
#if defined(FOREIGN) && !defined(BREAK_TAKEOVERDOUBT)
#define TAKEOVERDOUBT true
#else
#define TAKEOVERDOUBT false
#endif
/* With a cancel, a step that says in_doubt: undo is undone next: what is known of its call no longer matters. */
#ifdef TOMBSTONE
#define FORGETS true
#else
#define FORGETS false
#endif

/* Folding: State.apply. */
#ifdef BOUND
#define COUNTSIGNAL signals = signals + (status!=PARKED || !waiting)
#else
#define COUNTSIGNAL
#endif
#define OPENED(x, y) (x<y && STORED(x) && TYPE(x)!=CREATED && !(recorded & BIT(x)))
inline record(y) {
  MUST("once", !(recorded & BIT(y)));                                      /* each message takes effect once */
  MUST("I6", TYPE(y)==CREATED || !(OPENED(1, y) || OPENED(2, y)));
  recorded = recorded | BIT(y);
  if
  :: TYPE(y)==CREATED -> accepted = y
  :: TYPE(y)==SIGNAL -> watermark = y; signal = 1; COUNTSIGNAL
  :: TYPE(y)==CANCEL -> watermark = y; pass = (BACKWARD && pass); given = (pass -> given : 0);
     if :: FORGETS && !BACKWARD -> waiting = 0; unsure = 0; known = 0 :: else fi;      /* the next call is the undo */
     cancel = 1
  :: TYPE(y)==RETRY || TYPE(y)==SKIP -> watermark = y; if :: status==ATTENTION -> pass = (TYPE(y)==SKIP) :: else fi
  fi;
  if :: status==ATTENTION && URGES(y) -> unheard = 1 :: else fi
}

/* The message becomes the driver, this delivery the owner: OrderAccepted, OrderResumed. */
inline own() {
  if :: status==DRIVEN && TAKEOVERDOUBT && !UNDOING -> unsure = 1 :: else fi;
  if :: status==ATTENTION -> MUST("once", !(ended & BIT(m))); ended = ended | BIT(m) :: else fi;
  driver = m; owner = id; status = DRIVEN; unheard = 0;
  if :: pass :: else -> given = 0 fi
}
inline rest(how) { status = how; driver = 0; owner = NOBODY }

/* R2: what was found in the inbox is recorded with the acceptance. After a cancel in that entry nobody has made a call, and
   nobody will. */
inline accept() {
  record(m); own();
  if :: along & 1 -> SAY("takes message 1 along"); record(1) :: else fi;
  if :: along & 2 -> SAY("takes message 2 along"); record(2) :: else fi;
  if :: along & 4 -> SAY("takes message 3 along"); record(3) :: else fi;
  along = 0;
  if
  :: cancel -> MUST("I4", effect[1]==UNASKED && effect[2]==UNASKED); uncalled = 1;
#ifndef BREAK_SETTLENEW
     closed = 1; rest(TERMINAL); SAY("terminal: cancelled, and nothing was called")
#endif
  :: else
  fi
}

/* The call has its result. The order ends in the same entry when nothing is left: State.closing. */
inline close() {
  waiting = 0; pass = 0; unsure = 0; known = 0;
  if
  :: BACKWARD && !BEYOND && !UNSETTLED && NEXTUNDO==0 -> rest(TERMINAL); SAY("terminal: undone")
  :: (!BACKWARD || BEYOND) && done==K -> completed = 1; rest(TERMINAL); SAY("terminal: completed")
  :: else
  fi
}
inline complete() { done = s; closed = (closed || BACKWARD) }

/* State.expects, and what makes an uncertain result obsolete: compensation began after the call was made. */
#define AWAITED (undo -> (UNDOING && NEXTUNDO==s) : (!closed && !refusal && s==done+1))
#define OBSOLETE (!undo && BACKWARD && !settling)
#if defined(IRREVERSIBLE) && !defined(BREAK_PENDINGLAST)
#define ASDONE (!undo && BACKWARD && s<K)
#else
#define ASDONE (!undo && BACKWARD)
#endif

inline undid() { done = (s>done -> s : done); undone = undone | BIT(s); closed = 1 }
#ifdef BREAK_PARKDOUBT
#define PARKMAYBE skip
#else
#define PARKMAYBE MAYBE
#endif
#define MAYBE unsure = (unsure || (maybe && !undo))

/* What is appended for the fact: State.HandleReply, State.skip, State.GiveUp; nothing for an obsolete result. */
#define CERTAIN (fact==GAVEUP || fact==END || fact==PASSOVER || fact==BYSIGNAL || fact==KNOWN)
#define DEFINITE (fact==ANSWERED || fact==REFUSED || fact==UNREADABLE || ((fact==DENIED || fact==PENDING) && UNSETTLED))
#define COUNTS (CERTAIN || (AWAITED && (DEFINITE || !OBSOLETE)))
/* A result that is obsolete all the same says that the call may have been performed: the call that settles the step must
   know. */
#ifdef BREAK_OBSOLETE
#define LEAVESDOUBT false
#else
#define LEAVESDOUBT (maybe && !unsure && AWAITED && UNSETTLED)
#endif
/* What a no by its status alone means: a refusal, unless the call may have been performed before. */
#ifdef BREAK_BARE
#define INDOUBT false
#else
#define INDOUBT (unsure || known)
#endif
/* A call that was never sent settles that the step is not performed, if nothing else is unknown about it. */
#ifdef BREAK_UNSENT
#define NEVERMADE (settling && UNSETTLED)
#else
#define NEVERMADE (settling && UNSETTLED && !INDOUBT && !waiting)
#endif
#ifdef BREAK_UNDOPENDING
#define UNDOWAITS false
#else
#define UNDOWAITS undo
#endif
inline amount() {
  if
  :: fact==GAVEUP || fact==FAILED -> SAY("append attention"); MAYBE; given = CURRENT; pass = 0; rest(ATTENTION)
  :: fact==END -> SAY("append the end"); close()
  :: fact==PASSOVER -> SAY("append the call passed over");
     MUST("skip", CURRENT==given);                                         /* the call that needed attention, no other */
     if
     :: UNDOING -> passed = passed | BIT(NEXTUNDO)
     :: !UNDOING && !known -> s = done+1; passed = passed | BIT(s); complete()
     :: !UNDOING && known -> s = done+1; complete()                        /* done, and undone later if need be */
     fi;
     close();
#ifdef BREAK_SKIPSTAYS
     pass = (status==DRIVEN)
#else
     given = 0
#endif
  :: !undo && (fact==BYSIGNAL || (fact==PENDING && !ASDONE && signal)) -> SAY("append step completed by signal");
     signal = 0; effect[s] = (effect[s]==OPEN -> PERFORMED : effect[s]); complete(); close()
  :: undo && (fact==BYSIGNAL || (fact==PENDING && signal)) -> SAY("append step undone by signal");
     signal = 0; effect[s] = (effect[s]==CLEARING -> UNDONE : effect[s]); undid(); close()
  :: fact==PENDING && !ASDONE && !signal && (!undo || UNDOWAITS) -> SAY("append parked, pending"); waiting = 1; park++; rest(PARKED)
  :: fact==POSTPONED -> SAY("append parked, again later"); PARKMAYBE; park++; rest(PARKED)
  :: fact==RETRIED -> SAY("append step failed"); MAYBE
  :: (fact==ANSWERED && !undo) || (fact==PENDING && ASDONE) -> SAY("append step completed"); complete(); close()
  :: undo && (fact==ANSWERED || (fact==PENDING && !UNDOWAITS)) -> SAY("append step undone"); undid(); close()
  :: fact==REFUSED || (fact==DENIED && !INDOUBT) -> SAY("append step rejected");
#ifdef BREAK_REFUSED
     done = s;
#endif
     refusal = 1; closed = 1; close()
#ifdef TOMBSTONE
  :: fact==DENIED && INDOUBT && !undo -> SAY("append step rejected, in doubt"); refusal = 1; waiting = 0; unsure = 0; known = 0
#else
  :: fact==DENIED && INDOUBT && !undo -> SAY("append attention: a no in doubt"); given = CURRENT; pass = 0; rest(ATTENTION)
#endif
  :: fact==UNREADABLE && !undo && BACKWARD -> SAY("append step completed, without data"); complete(); close()
  :: fact==UNREADABLE && (undo || !BACKWARD) && !known -> SAY("append step failed, unreadable"); known = 1
  :: fact==UNREADABLE && (undo || !BACKWARD) && known -> SAY("append attention: unreadable again"); given = CURRENT; pass = 0; rest(ATTENTION)
  :: fact==KNOWN -> SAY("append step completed, without a call");
#ifdef BREAK_KNOWN
     closed = 1; close()
#else
     MUST("I4", effect[s]==PERFORMED); complete(); close()
#endif
  :: fact==NOTSENT && !undo && NEVERMADE -> SAY("append step rejected, never sent");
     MUST("I4", !MAYSTAND(s)); refusal = 1; closed = 1; close()
  :: fact==NOTSENT && (undo || !NEVERMADE) -> SAY("append attention: not sent"); given = CURRENT; pass = 0; rest(ATTENTION)
  fi
}

/* A step call may not reach its service, and its reply may not come back. Only a call that was certainly not performed
   leaves no doubt. */
#ifdef FOREIGN
#define DOUBTFUL(performed) if :: maybe = 1 :: !(performed) -> maybe = 0 fi
#else
#define DOUBTFUL(performed) skip
#endif
inline fails(performed) {
  if
  :: again>0 -> again--; fact = POSTPONED; SAY("no reply, to be called again later")
  :: hold>0 -> hold--; fact = RETRIED; SAY("no reply, to be called again by this driver")
  :: fail>0 -> fail--; fact = FAILED; SAY("no reply, given up")
  fi;
  DOUBTFUL(performed)
}
inline perform() {
  printf("@slot %d, message %d: call do(%d)\n", id, m, s);
  MUST("I4", !uncalled);                                                   /* cancelled before its first call: no call */
  if
  :: fails(false)
  :: unsent>0 -> unsent--; fact = NOTSENT; SAY("cannot be sent")
  :: OVER(s) -> fact = REFUSED; SAY("rejected")
  :: bare>0 && (effect[s]==UNASKED || effect[s]==OPEN) ->
     bare--; effect[s] = (effect[s]==UNASKED -> DECLINED : LAPSED); fact = DENIED; SAY("a status says no")
  :: bare>0 && effect[s]==PERFORMED -> bare--; fact = DENIED; SAY("a status says no, for the key is known")
  :: refuse>0 && (effect[s]==UNASKED || effect[s]==OPEN) ->
     refuse--; effect[s] = (effect[s]==UNASKED -> DECLINED : LAPSED); fact = REFUSED; SAY("rejected")
  :: pend>0 && !OVER(s) ->
     pend--; effect[s] = (effect[s]==UNASKED -> OPEN : effect[s]); fact = PENDING; SAY("pending")
  :: !OVER(s) ->
     MUST("I4", effect[s]==PERFORMED || status!=TERMINAL || (passed & BIT(s)));      /* no first effect after the end */
     effect[s] = PERFORMED;
     if
     :: fails(true)
     :: garbled>0 -> garbled--; fact = UNREADABLE; SAY("an answer that cannot be read")
     :: true -> fact = ANSWERED; SAY("done")
     fi
  fi
}
/* Steps are undone in reverse: the last one does not stand when another one is undone. */
#define LASTFIRST MUST("I4", s==K || !HASUNDO(K) || !MAYSTAND(K) || (passed & BIT(K)))
inline compensate() {
  printf("@slot %d, message %d: call undo(%d)\n", id, m, s);
  if
  :: fails(false)
  :: undopend>0 && effect[s]!=UNDONE -> undopend--; LASTFIRST; effect[s] = CLEARING; fact = PENDING; SAY("pending")
  :: true ->
#ifndef TOMBSTONE
     MUST("I4", effect[s]!=UNASKED && effect[s]!=DECLINED);                /* a step that was never called is not undone */
#endif
     LASTFIRST;
     MUST("I4", effect[s]==UNDONE || status!=TERMINAL || (passed & BIT(s)));
     effect[s] = UNDONE;
     if
     :: fails(true)
     :: garbled>0 -> garbled--; fact = UNREADABLE; SAY("an answer that cannot be read")
     :: true -> fact = ANSWERED; SAY("done")
     fi
  fi
}

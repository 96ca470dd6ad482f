/* The environment of one order: the settings of a case, the streams, the journal and the services. core.pml has what a
   driver does, order.pml the rules of deliveries. */

#define CREATED 1
#define SIGNAL 2
#define CANCEL 3
#define RETRY 4
#define SKIP 5

/* ---- a case: what clients publish, in this order, and the most of each failure ---- */
#ifndef W
#define W 2         /* deliveries alive at a time: 2 or 3 */
#endif
#ifndef M1
#define M1 CREATED
#endif
#ifndef M2
#define M2 0
#endif
#ifndef M3
#define M3 0
#endif
#ifndef CRASH
#define CRASH 0     /* a holder dies */
#endif
#ifndef EXPIRE
#define EXPIRE 0    /* an ack wait ends though the holder is alive */
#endif
#ifndef LOSE
#define LOSE 0      /* the reply of an append that took effect is lost */
#endif
#ifndef RESTART
#define RESTART 0   /* a driver's actor is restarted with the same delivery and incarnation */
#endif
#ifndef PEND
#define PEND 0      /* a step answers pending */
#endif
#ifndef AGAIN
#define AGAIN 0     /* a call fails and is attempted again after a park */
#endif
#ifndef HOLD
#define HOLD 0      /* a call fails and is made again by the same driver */
#endif
#ifndef FAIL
#define FAIL 0      /* a call fails for good, or its drivers give up: attention */
#endif
#ifndef REFUSE
#define REFUSE 0    /* a step answers rejected */
#endif
#ifndef BARE
#define BARE 0      /* an answer says no by its status alone: a refusal, or a service that knows the key */
#endif
#ifndef GARBLED
#define GARBLED 0   /* the answer of a call that was performed is unreadable */
#endif
#ifndef UNSENT
#define UNSENT 0    /* a call cannot be sent */
#endif
#ifndef UNDOPEND
#define UNDOPEND 0  /* an undo answers pending */
#endif
#if BARE+GARBLED+UNSENT > 0
#define FOREIGN     /* services of which the state keeps what it knows about the current call */
#endif
#ifndef EARLY
#define EARLY 0     /* a wake-up is early by its reader's clock */
#endif
#ifndef SOON
#define SOON 0      /* a nak'ed message is delivered before the reason is gone */
#endif
#ifndef REVERT
#define REVERT 0    /* a killed server loses an acknowledgement of the inbox; needs STAYS */
#endif
/* Switches. BOUND: how many signals are recorded that the order does not wait for; needs AGES. AGES: messages about an unknown order grow old. BACKLOG: a created message may be delivered late, and then what
   is stored about its order is recorded with it. IRREVERSIBLE: the last step has no undo. TOMBSTONE: the
   steps say in_doubt: undo. SHARED: a delivery may reach the actor that drives, which answers it from memory. STAYS: what
   is acknowledged stays in the inbox until a purge, or for ever: nothing may wait for a purge. */

/* A check that fails ends the search; its name is the last line of the trace. */
#define MUST(name, holds) if :: (holds) :: else -> printf("@broken: "); printf(name); printf("\n"); assert(false) fi

#define K 2                         /* steps of the plan */
#define BIT(i) (1 << ((i) - 1))
#define TYPE(x) ((x)==1 -> M1 : ((x)==2 -> M2 : M3))
#define WAKE(x) ((x)>3)             /* messages 1..3 are in the inbox, 4 and 5 are wake-ups */
#define URGES(x) (TYPE(x)==CANCEL || TYPE(x)==RETRY || TYPE(x)==SKIP)
#define EXISTS (M1==CREATED || M2==CREATED || M3==CREATED)

/* ---- streams ---- */
#define ABSENT 0
#define AVAILABLE 1
#define HELD 2                      /* delivered; the stream waits for the acknowledgement */
#define PUTOFF 3                    /* nak'ed, to be delivered later */
#define GONE 4
#define SETTLED 5                   /* acknowledged, and not purged yet */
#ifdef STAYS
#define ACKED(x) (WAKE(x) -> GONE : SETTLED)
#else
#define ACKED(x) GONE
#endif
byte at[6], holder[6];              /* where a message is; the slot of its latest delivery while that is alive */
bit delivered[4];                   /* delivered once before */
byte wakes[6], readers[6];          /* the park a wake-up belongs to; how many slots hold or held it */
byte timer;                         /* the park that is scheduled, or 0: one schedule per order, the next replaces it */
bit aged;                           /* messages about an unknown order are past their age */
byte ripe;                          /* created messages that were published after that */
#define STORED(x) (at[x]>=AVAILABLE && at[x]<=PUTOFF)
#define LIES(x) (STORED(x) || at[x]==SETTLED)
/* A created message that came in time is in the inbox, and waits for its delivery. */
#define INTIME(x) (TYPE(x)==CREATED && at[x]!=ABSENT && !(ripe & BIT(x)))
#define FOLLOWS(x) (TYPE(x)==CREATED && LIES(x))
#define INBOXEMPTY (!STORED(1) && !STORED(2) && !STORED(3))

/* ---- the journal, folded (State in state.go) ---- */
#define NONE 0
#define DRIVEN 1                    /* running or compensating */
#define PARKED 2
#define ATTENTION 3
#define TERMINAL 4
#define RESTING 5                   /* seen by a reader: PARKED, and the message is a signal that the order does not wait for */
#define NOBODY 0
byte status, driver, owner, accepted, watermark;
#ifdef BOUND
byte signals;                       /* how many were recorded that the order did not wait for */
#endif
byte park;                          /* the number of the latest OrderParked */
byte done, undone, passed;          /* how many steps are done; which of them are undone, which were passed over */
bit cancel, refusal, closed, waiting, signal, pass, completed;
bit unsure, known;                  /* the current call may have been performed; it is, and its answer was unreadable */

/* R1. OrderAccepted does not move the watermark. */
#ifdef DRAFT_WATERMARK
#define RECORDED(x) ((x) <= (accepted>watermark -> accepted : watermark))
#else
#define RECORDED(x) (status!=NONE && ((x)==accepted || (x)<=watermark))
#endif
/* R3.5: whether message x delays later ones while it is in the inbox. */
#if defined(BREAK_DUPLICATE)
#define HOLDSBACK(x) (!RECORDED(x))
#elif defined(BREAK_PASSEDOVER)
#define HOLDSBACK(x) (!RECORDED(x) && TYPE(x)!=CREATED)
#else
#define HOLDSBACK(x) (!RECORDED(x) && (TYPE(x)!=CREATED || status==NONE))
#endif
#define EARLIER(x) (status!=TERMINAL && (((x)>=2 && LIES(1) && HOLDSBACK(1)) || ((x)>=3 && LIES(2) && HOLDSBACK(2))))

/* R4c (undo.go). */
#define BACKWARD (cancel || refusal)
#define DOUBT (BACKWARD && !closed && done<K)
#if defined(TOMBSTONE)
#define UNSETTLED false
#define UNDODOUBT DOUBT
#elif defined(DRAFT_DOUBT)
#define UNSETTLED false
#define UNDODOUBT false
#else
#define UNSETTLED DOUBT
#define UNDODOUBT false
#endif
#ifdef IRREVERSIBLE
#define HASUNDO(i) ((i)<K)
#else
#define HASUNDO(i) true
#endif
#if defined(IRREVERSIBLE) && !defined(BREAK_RETURN)
#define BEYOND (!refusal && done==K && !(passed & BIT(K)))
#else
#define BEYOND false
#endif
#define TOUNDO(i) (done>=(i) && !((undone | passed) & BIT(i)) && HASUNDO(i))
#define NEXTUNDO (UNDODOUBT -> done+1 : (TOUNDO(2) -> 2 : (TOUNDO(1) -> 1 : 0)))
#define UNDOING (BACKWARD && !UNSETTLED)

/* ---- services: they perform and undo a key once; a foreign one may answer it differently the next time ---- */
#define UNASKED 0
#define PERFORMED 1
#define UNDONE 2                    /* and never performed any more */
#define DECLINED 3
#define OPEN 4                      /* pending: it may yet be performed */
#define LAPSED 5                    /* pending, then declined: an undo is accepted all the same */
#define CLEARING 6                  /* its undo is pending */
byte effect[K+1];
#define OVER(i) (effect[i]==UNDONE || effect[i]==DECLINED || effect[i]==LAPSED || effect[i]==CLEARING)
#define MAYSTAND(i) (effect[i]==PERFORMED || effect[i]==OPEN || effect[i]==CLEARING)

/* ---- slots: live deliveries, each with an identity of its own (R0) ---- */
bit stale[W+1];                     /* another slot appended since this slot last read or appended */
bit late[W+1];                      /* its ack wait is over: there may be another delivery of its message */
byte sure;                          /* messages about to be dead-lettered or nak'ed */
byte holds[W+1];                    /* the message, 0: the slot is free */
#if W==3
#define QUIET (holds[1]==0 && holds[2]==0 && holds[3]==0)
#define LOWESTFREE (id==1 || (holds[1]!=0 && (id==2 || holds[2]!=0)))
#define WAITOVER(x) late[1]=(late[1] || holds[1]==x); late[2]=(late[2] || holds[2]==x); late[3]=(late[3] || holds[3]==x)
#define NOHOLDER(x) (holds[1]!=x && holds[2]!=x && holds[3]!=x)
#define OUTDATE stale[1]=(id!=1 && holds[1]!=0); stale[2]=(id!=2 && holds[2]!=0); stale[3]=(id!=3 && holds[3]!=0)
#else
#define QUIET (holds[1]==0 && holds[2]==0)
#define LOWESTFREE (id==1 || holds[1]!=0)
#define WAITOVER(x) late[1]=(late[1] || holds[1]==x); late[2]=(late[2] || holds[2]==x)
#define NOHOLDER(x) (holds[1]!=x && holds[2]!=x)
#define OUTDATE stale[1]=(id!=1 && holds[1]!=0); stale[2]=(id!=2 && holds[2]!=0)
#endif

#ifndef AGES
#undef WAITOVER
#define WAITOVER(x) skip
#endif
/* Assumed: a dead letter or nak that was decided is done within what is left of the ack wait. */
#ifdef LIMIT_SETTLING
#define SURE(x) false
#else
#define SURE(x) (sure & BIT(x))
#endif
/* R8: with progress acknowledgements an ack wait rarely ends while its holder is alive. */
#ifdef DRAFT_SILENT
#define SPENT 0
#else
#define SPENT 1
#endif

/* ---- failures left, and what only the checks know ---- */
byte crash, expire, lose, restart, pend, again, hold, fail, refuse, bare, garbled, unsent, undopend, early, soon, revert;
bit sweep;                          /* what is acknowledged is purged */
byte recorded;                      /* messages that are in the journal */
bit uncalled;                       /* a cancel was recorded with the acceptance */
byte ledger;                        /* messages that were settled without effect, and are in the ledger */
#define ACCOUNTED(x) (WAKE(x) || ((recorded | ledger) & BIT(x)))
bit unheard;                        /* a message that ends attention was recorded, and attention went on */
byte ended;                         /* messages that ended attention */
byte given;                         /* the call that needs attention: the step, +K for its undo */
#define CURRENT (UNDOING -> NEXTUNDO+K : done+1)

/* Each helper has a seat of its own, a line of the cache through which the caller hands it a part and gets it back: two
 * transfers between the cores, which is as few as there can be. A region of the pool (threads.c), where tasks are claimed
 * by whoever is free, needs four times as many.
 *
 *     AWAY --helper--> READY --caller--> WORKING --helper--> READY ..       READY --helper--> AWAY
 *
 * A helper that has had nothing to do for some microseconds gets up for good; the caller hands out parts to those alone
 * who are READY, in one exchange with the helper who may be about to leave. So a helper that spins has work every few
 * microseconds, and a caller waits only for a part that somebody is working on. Should that take long, because the
 * helper has lost its processor, it sleeps, by the same pattern as in threads.c. */
#include "team.h"

#include <stdint.h>

#include "processor.h"

#if defined(_WIN32)
#include "sync_windows.h"
#else
#include "sync_posix.h"
#endif

enum {
    SEATS = 31,
    LOOKS_PER_PAUSE = 8, /* a pause is as long as the way of a line from core to core */
    LOOKS = 1600,        /* of the caller, until it sleeps: some microseconds */
    IDLE_LOOKS = 8000,   /* of a helper, until it leaves: some ten microseconds */
};

/* The state of a seat; WORKING + k: at work on part k. */
enum { AWAY, READY, WORKING };

struct seat {
    _Alignas(64) uint32_t state;
};

struct clstm_team {
    struct seat seat[SEATS];
    clstm_team_body *body;
    void *body_context;
    int seats;
    _Alignas(64) int over;        /* the body has returned */
    _Alignas(64) clstm_task *run; /* written while nobody is WORKING */
    void *context;

    sync_lock lock; /* of the caller's sleep */
    sync_condition done;
    int awaited;
};

#define LOAD(p) __atomic_load_n(p, __ATOMIC_SEQ_CST)
#define STORE(p, value) __atomic_store_n(p, value, __ATOMIC_SEQ_CST)

static void wait_a_little(int looks) {
    if (looks % LOOKS_PER_PAUSE == LOOKS_PER_PAUSE - 1) cpu_pause();
}

/* In one instruction, without a look before: that would be a transfer of its own. */
static int change(struct seat *seat, uint32_t from, uint32_t to) {
    return __atomic_compare_exchange_n(&seat->state, &from, to, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

/* The part to work on, or -1: it is time to leave. */
static ptrdiff_t await_part(struct clstm_team *team, struct seat *seat) {
    for (int idle = 0; idle < IDLE_LOOKS && !LOAD(&team->over); idle++) {
        const uint32_t state = LOAD(&seat->state);
        if (state >= WORKING) return state - WORKING;
        wait_a_little(idle);
    }
    return change(seat, READY, AWAY) ? -1 : (ptrdiff_t)(LOAD(&seat->state) - WORKING);
}

static void serve(struct clstm_team *team, int number) {
    struct seat *seat = &team->seat[number];
    ptrdiff_t part;
    STORE(&seat->state, READY);
    while ((part = await_part(team, seat)) >= 0) {
        team->run(team->context, part, number + 1);
        STORE(&seat->state, READY);
        if (!LOAD(&team->awaited)) continue;
        lock_acquire(&team->lock);
        lock_release(&team->lock);
        condition_wake_one(&team->done);
    }
}

static void await_seat(struct clstm_team *team, struct seat *seat) {
    for (int looks = 0; looks < LOOKS; looks++) {
        if (LOAD(&seat->state) < WORKING) return;
        wait_a_little(looks);
    }
    lock_acquire(&team->lock);
    STORE(&team->awaited, 1);
    while (LOAD(&seat->state) >= WORKING) condition_wait(&team->done, &team->lock);
    STORE(&team->awaited, 0);
    lock_release(&team->lock);
}

void clstm_team_share(struct clstm_team *team, ptrdiff_t parts, clstm_task *run, void *context) {
    const int seats = team ? team->seats : 0;
    uint32_t helped = 0; /* seats that had a part, as bits */
    if (team) {
        team->run = run;
        team->context = context;
    }
    for (ptrdiff_t left = parts; left > 0;) {
        for (int i = 0; i < seats && left > 1; i++) {
            if (!change(&team->seat[i], READY, WORKING + (uint32_t)(left - 1))) continue;
            helped |= UINT32_C(1) << i;
            left--;
        }
        run(context, --left, 0);
    }
    for (int i = 0; helped >> i; i++)
        if (helped >> i & 1) await_seat(team, &team->seat[i]);
}

static void team_task(void *context, ptrdiff_t task, int worker) {
    struct clstm_team *team = context;
    if (task == 0) {
        team->body(team->body_context, team);
        STORE(&team->over, 1);
    } else if (!LOAD(&team->over)) {
        serve(team, (int)task - 1);
    }
    (void)worker;
}

void clstm_team_work(int threads, clstm_team_body *body, void *context) {
    struct clstm_team team = {
        .body = body, .body_context = context, .lock = SYNC_LOCK_INIT, .done = SYNC_CONDITION_INIT};
    team.seats = threads - 1 < SEATS ? threads - 1 : SEATS;
    clstm_parallel(threads, 1 + team.seats, team_task, &team);
}

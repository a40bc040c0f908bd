/* Teams under stress: each part once and before the call returns, thread numbers, helpers that come late, leave and
 * come again, more parts than threads, teams in a pool that is taken. */
#include "../ground/team.h"

#include <time.h>

#include "../clstm.h"
#include "../ground/processor.h"
#include "check.h"

#if defined(_WIN32)
#include "../ground/sync_windows.h"
static void pause_ms(int ms) { Sleep((DWORD)ms); }
#else
#include <unistd.h>

#include "../ground/sync_posix.h"
static void pause_ms(int ms) { usleep((useconds_t)ms * 1000); }
#endif

enum { MOST_PARTS = 12, MOST_THREADS = 5, CALLERS = 3 };

/* Shared many times; `value` of each part is read by all parts of the next round, as states are in a network. */
struct rounds {
    int threads, parts, count, work, idle_ms;
    int round;
    long value[2][MOST_PARTS];
    int in_use[MOST_THREADS];
    int wrong, helped;
};

static void round_part(void *context, ptrdiff_t part, int worker) {
    struct rounds *rounds = context;
    const long *before = rounds->value[rounds->round % 2];
    int wrong = worker < 0 || worker >= rounds->threads;
    if (!wrong) wrong += __atomic_exchange_n(&rounds->in_use[worker], 1, __ATOMIC_RELAXED) && worker > 0;
    for (int i = 0; i < rounds->work; i++) cpu_pause();
    long sum = 0;
    for (int i = 0; i < rounds->parts; i++) sum += before[i];
    rounds->value[(rounds->round + 1) % 2][part] = sum % 1000003 + (long)part;
    if (worker > 0) __atomic_add_fetch(&rounds->helped, 1, __ATOMIC_RELAXED);
    if (!wrong) __atomic_store_n(&rounds->in_use[worker], 0, __ATOMIC_RELAXED);
    if (wrong) __atomic_add_fetch(&rounds->wrong, wrong, __ATOMIC_RELAXED);
}

static void all_rounds(void *context, struct clstm_team *team) {
    struct rounds *rounds = context;
    for (rounds->round = 0; rounds->round < rounds->count; rounds->round++) {
        clstm_team_share(team, rounds->parts, round_part, rounds);
        if (rounds->idle_ms && rounds->round % 50 == 49) pause_ms(rounds->idle_ms);
    }
}

/* The sum that the rounds must end with, by one loop. */
static long expected(const struct rounds *rounds) {
    long sum = 0;
    for (int round = 0; round < rounds->count; round++) {
        long next = 0;
        for (int part = 0; part < rounds->parts; part++) next += sum % 1000003 + part;
        sum = next;
    }
    return sum;
}

/* Runs a team, or all of it on this thread if alone; returns what was wrong. */
static int run_rounds(int threads, int parts, int count, int work, int idle_ms, int *helped) {
    struct rounds rounds = {.threads = threads, .parts = parts, .count = count, .work = work, .idle_ms = idle_ms};
    clstm_team_work(threads, all_rounds, &rounds);
    long sum = 0;
    for (int i = 0; i < parts; i++) sum += rounds.value[count % 2][i];
    if (helped) *helped += rounds.helped;
    return rounds.wrong + (sum != expected(&rounds));
}

static void check_one_caller(void) {
    int helped = 0;
    for (int threads = 1; threads <= MOST_THREADS; threads++)
        for (int parts = 1; parts <= MOST_PARTS; parts += 3)
            CHECK(run_rounds(threads, parts, 300, parts % 7, 0, &helped) == 0, "%d threads, %d parts", threads, parts);
    if (clstm_cpu_count() > 1) { /* one processor is that of the caller, who waits for nobody */
        /* Longer and longer: where others keep the processors busy, a helper waits for its turn. */
        for (int tries = 1; helped == 0 && tries < 200; tries++) run_rounds(2, 2, 2000 * tries, 30, 0, &helped);
        CHECK(helped > 0, "no helper has ever helped");
    }
    CHECK(run_rounds(3, 4, 0, 0, 0, NULL) == 0, "a body that shares nothing");
    struct rounds alone = {.threads = 1, .parts = 4, .count = 20};
    all_rounds(&alone, NULL);
    CHECK(alone.wrong == 0 && alone.helped == 0, "no team");
    group("team: one caller");
}

static void check_idle_helpers(void) {
    CHECK(run_rounds(3, 3, 300, 5, 2, NULL) == 0, "helpers that have left in between");
    const clock_t before = clock();
    CHECK(run_rounds(3, 3, 500, 1, 20, NULL) == 0, "long pauses");
    const double used = (double)(clock() - before) / CLOCKS_PER_SEC;
    CHECK(used < 0.1, "%g s of processor time in 0.2 s of pauses", used);
    group("team: idle helpers leave");
}

static int caller_wrong;

static void caller_main(void) {
    for (int i = 0; i < 60; i++) {
        const int wrong = run_rounds(1 + i % MOST_THREADS, 1 + i % MOST_PARTS, 100, i % 5, 0, NULL);
        __atomic_add_fetch(&caller_wrong, wrong, __ATOMIC_RELAXED);
    }
}

static void check_callers(void) {
    sync_thread thread[CALLERS];
    for (int i = 0; i < CALLERS; i++) CHECK(thread_start(&thread[i], caller_main, 1 << 20), "no thread for the test");
    for (int i = 0; i < CALLERS; i++) thread_join(thread[i]);
    CHECK(caller_wrong == 0, "%d", caller_wrong);
    group("team: several callers");
}

/* A team inside a task has no helpers. */
static void nested_task(void *context, ptrdiff_t task, int worker) {
    const int wrong = run_rounds(3, 4, 20, 0, 0, NULL);
    __atomic_add_fetch((int *)context, wrong, __ATOMIC_RELAXED);
    (void)task, (void)worker;
}

static void check_nested(void) {
    int wrong = 0;
    clstm_parallel(3, 20, nested_task, &wrong);
    CHECK(wrong == 0, "%d", wrong);
    group("team: inside a task");
}

int main(void) {
    check_one_caller();
    check_idle_helpers();
    check_callers();
    check_nested();
    clstm_threads_stop();
    return finish();
}

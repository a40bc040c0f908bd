/* The thread pool under stress: each task once, worker numbers, several callers at once, calls from inside a task,
 * fork, stop and restart, no spinning. */
#include "../ground/threads.h"

#include <time.h>

#include "../ground/processor.h"
#include "check.h"

#if defined(_WIN32)
#include "../ground/sync_windows.h"
static void pause_ms(int ms) { Sleep((DWORD)ms); }
#else
#include <sys/wait.h>
#include <unistd.h>

#include "../ground/sync_posix.h"
static void pause_ms(int ms) { usleep((useconds_t)ms * 1000); }
#endif

/* ThreadSanitizer does not support children of a program with several threads that start threads of their own. */
#if defined(__has_feature)
#define HAS_FEATURE(x) __has_feature(x)
#else
#define HAS_FEATURE(x) 0
#endif
#if defined(_WIN32) || defined(__SANITIZE_THREAD__) || HAS_FEATURE(thread_sanitizer)
#define CAN_FORK 0
#else
#define CAN_FORK 1
#endif

enum { MOST_TASKS = 64, MOST_THREADS = 6, CALLERS = 4 };

/* One region on the stack of its caller; after return it is overwritten, which a late worker would notice. */
struct region {
    int times[MOST_TASKS];    /* how often each task ran */
    int in_use[MOST_THREADS]; /* by worker number */
    int threads, nested, work, wrong;
    float_mode mode;
};

static void region_task(void *context, ptrdiff_t task, int worker);

/* Runs a region and returns how many things were wrong with it. */
static int run_region(int threads, int tasks, int nested, int work) {
    struct region region = {.threads = threads, .nested = nested, .work = work, .mode = float_mode_get()};
    clstm_parallel(threads, tasks, region_task, &region);
    int wrong = region.wrong;
    for (int task = 0; task < MOST_TASKS; task++) wrong += region.times[task] != (task < tasks);
    for (int i = 0; i < MOST_THREADS; i++) wrong += region.in_use[i];
    memset(&region, 0x55, sizeof region);
    __asm__ volatile("" ::"r"(&region) : "memory"); /* so that it is not optimised away */
    return wrong;
}

static void region_task(void *context, ptrdiff_t task, int worker) {
    struct region *region = context;
    int wrong = 0;
    if (worker < 0 || worker >= region->threads) {
        __atomic_add_fetch(&region->wrong, 1, __ATOMIC_RELAXED);
        return;
    }
    wrong += __atomic_exchange_n(&region->in_use[worker], 1, __ATOMIC_RELAXED);
    wrong += float_mode_get() != region->mode;
    for (int i = 0; i < region->work; i++) cpu_pause();
    if (region->nested) wrong += run_region(1 + (int)task % 3, 5, 0, 1);
    __atomic_add_fetch(&region->times[task], 1, __ATOMIC_RELAXED);
    __atomic_store_n(&region->in_use[worker], 0, __ATOMIC_RELAXED);
    if (wrong) __atomic_add_fetch(&region->wrong, wrong, __ATOMIC_RELAXED);
}

static int random_below(uint64_t *state, int limit) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (int)((*state >> 33) % (uint64_t)limit);
}

/* `count` regions of all shapes. */
static int run_regions(uint64_t seed, int count) {
    int wrong = 0;
    for (int i = 0; i < count; i++) {
        const int threads = 1 + random_below(&seed, MOST_THREADS), tasks = random_below(&seed, MOST_TASKS + 1);
        wrong += run_region(threads, tasks, random_below(&seed, 8) == 0, random_below(&seed, 60));
        if (random_below(&seed, 100) == 0) pause_ms(1); /* so that workers fall asleep */
    }
    return wrong;
}

static int caller_seed, caller_wrong, callers_go_on, callers_regions = 1000;

static void caller_main(void) {
    const uint64_t seed = (uint64_t)__atomic_add_fetch(&caller_seed, 1, __ATOMIC_RELAXED);
    do {
        const int wrong = run_regions(seed, callers_regions);
        __atomic_add_fetch(&caller_wrong, wrong, __ATOMIC_RELAXED);
    } while (__atomic_load_n(&callers_go_on, __ATOMIC_RELAXED));
}

static void start_callers(sync_thread *thread) {
    for (int i = 0; i < CALLERS; i++) CHECK(thread_start(&thread[i], caller_main, 1 << 20), "no thread for the test");
}

static void join_callers(sync_thread *thread) {
    for (int i = 0; i < CALLERS; i++) thread_join(thread[i]);
    CHECK(caller_wrong == 0, "%d", caller_wrong);
}

/* Each of two tasks waits for the other to begin, for ten seconds at most. */
static void meeting_task(void *context, ptrdiff_t task, int worker) {
    int *arrived = context;
    (void)worker;
    __atomic_store_n(&arrived[task], 1, __ATOMIC_RELAXED);
    for (int ms = 0; ms < 10000 && !__atomic_load_n(&arrived[1 - task], __ATOMIC_RELAXED); ms++) pause_ms(1);
    if (!__atomic_load_n(&arrived[1 - task], __ATOMIC_RELAXED)) arrived[task] = -1;
}

static void check_two_at_once(const char *when) {
    int arrived[2] = {0, 0};
    clstm_parallel(2, 2, meeting_task, arrived);
    CHECK(arrived[0] == 1 && arrived[1] == 1, "two threads do not work at the same time %s", when);
}

static void check_one_caller(void) {
    CHECK(clstm_threads_running() == 0, "%d before the first call", clstm_threads_running());
    CHECK(clstm_threads_awake() == 0, "%d before the first call", clstm_threads_awake());
    CHECK(run_region(1, 9, 0, 0) == 0 && clstm_threads_running() == 0, "one thread must not start a pool");
    CHECK(run_region(4, 1, 0, 0) == 0 && clstm_threads_running() == 0, "one task must not start a pool");
    for (int threads = 2; threads <= MOST_THREADS; threads++) {
        CHECK(run_region(threads, MOST_TASKS, 0, 10) == 0, "%d threads", threads);
        CHECK(clstm_threads_running() == threads - 1, "%d for %d", clstm_threads_running(), threads);
    }
    CHECK(run_region(2, MOST_TASKS, 0, 10) == 0, "fewer threads than the pool has");
    CHECK(run_region(3, 0, 0, 0) == 0, "no tasks");
    CHECK(run_region(3, 20, 1, 0) == 0, "nested");
    CHECK(run_regions(77, 2000) == 0, "random shapes");
    check_two_at_once("in a used pool");
    group("pool: one caller");
}

static void check_stop(void) {
    for (int i = 0; i < 200; i++) {
        CHECK(run_region(1 + i % MOST_THREADS, 10, 0, 0) == 0, "before stop %d", i);
        if (i % 20 == 0) check_two_at_once("after a stop");
        if (i % 3 == 0) pause_ms(1);
        clstm_threads_stop();
        CHECK(clstm_threads_running() == 0, "%d after stop", clstm_threads_running());
    }
    clstm_threads_stop();
    group("pool: stop and start again");
}

static void check_callers(void) {
    sync_thread thread[CALLERS];
    start_callers(thread);
    join_callers(thread);
    group("pool: several callers");
}

/* A library that was built with -ffast-math sets flush-to-zero for the thread that loads it. */
static void check_float_mode(void) {
    const float_mode before = float_mode_get();
#if CLSTM_X86
    const float_mode flush = before | 0x8040;
#else
    const float_mode flush = before | 1u << 24;
#endif
    for (int i = 0; i < 200; i++) {
        float_mode_set(i % 2 ? flush : before);
        CHECK(run_region(3, 30, 0, 20) == 0, "a worker computes in another mode than its caller");
    }
    float_mode_set(before);
    group("pool: floating-point mode");
}

#if !defined(_WIN32)
/* clock() counts the processor time of all threads. */
static void check_idle(void) {
    CHECK(run_region(MOST_THREADS, MOST_TASKS, 0, 10) == 0, "before idling");
    pause_ms(20);
    const clock_t before = clock();
    pause_ms(300);
    const double used = (double)(clock() - before) / CLOCKS_PER_SEC;
    CHECK(used < 0.05, "%g s of processor time in 0.3 s of idling", used);
    CHECK(clstm_threads_awake() == 0, "%d workers are awake", clstm_threads_awake());
    group("pool: idle workers sleep");
}
#endif

#if CAN_FORK
static void check_fork(void) {
    sync_thread thread[CALLERS];
    callers_go_on = 1;
    callers_regions = 20;
    start_callers(thread);
    for (int i = 0; i < 50; i++) {
        const pid_t child = fork();
        if (child == 0) {
            alarm(60); /* a child that hangs is killed, and found by its status */
            int wrong = clstm_threads_running() != 0;
            wrong += run_region(3, 50, 0, 10);
            wrong += clstm_threads_running() != 2; /* it has workers of its own */
            wrong += run_regions((uint64_t)i, 50);
            clstm_threads_stop();
            _exit(wrong != 0);
        }
        int status = -1;
        waitpid(child, &status, 0);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0, "child %d ended with status %d", i, status);
        pause_ms(1);
    }
    __atomic_store_n(&callers_go_on, 0, __ATOMIC_RELAXED);
    join_callers(thread);
    CHECK(run_regions(5, 100) == 0, "the parent after its forks");
    check_two_at_once("after forks");
    group("pool: fork while others work");
}
#endif

int main(void) {
    check_one_caller();
    check_stop();
    check_callers();
    check_float_mode();
#if !defined(_WIN32)
    check_idle();
#endif
#if CAN_FORK
    check_fork();
#endif
    clstm_threads_stop();
    CHECK(clstm_threads_running() == 0, "%d at the end", clstm_threads_running());
    return finish();
}

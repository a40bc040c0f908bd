/* The pool. One region of work at a time; whoever finds it taken works alone.
 *
 * A region is opened with a number of tickets, one for each helper that its caller may use. A worker must take a
 * ticket before it looks at anything that belongs to the region, and whoever finds that the tasks have run out
 * withdraws the tickets that are left. So
 *   - a worker that wakes too late finds no ticket and touches nothing: the caller has to wait for those who came,
 *     never for those who might still come, and a worker that does not get a processor delays nobody;
 *   - the number on the ticket is the worker's index, below `threads` however many workers there are.
 * Tickets left and helpers present are two halves of one word, so that the last to leave sees, in the same instant,
 * that nobody can join any more.
 *
 * Sleeping follows one pattern on both sides: the sleeper announces itself, then looks once more, then sleeps; the
 * waker changes the state, then looks for sleepers. With sequentially consistent atomics one of them sees the other. */
#include "threads.h"

#include "../clstm.h"
#include "processor.h"

#if defined(_WIN32)
#include "sync_windows.h"
#else
#include "sync_posix.h"
#endif

enum {
    MAX_WORKERS = 255,
    STACK_BYTES = 1 << 20, /* address space, not memory; part of it goes to other libraries' thread-local data */
    PAUSES = 150,          /* the length of a worker's waiting loop: some microseconds */
    CALLER_PAUSES = 400    /* the caller waits for what is being worked on, and to be woken costs more than that */
};

/* The word `region`: tickets left in the high half, helpers present in the low half. */
#define TICKET 0x10000u
#define PRESENT 0xffffu

static struct {
    sync_lock lock; /* of sleeping alone; work is shared out without it */
    sync_condition work, done;
    sync_thread thread[MAX_WORKERS];
    int workers;
    int most_workers; /* fewer than MAX_WORKERS once the system has refused one */
    int forks_handled;
    int taken;   /* by the caller whose region it is */
    int asleep;  /* workers that wait for work, or have been woken and do not run yet */
    int awaited; /* the caller sleeps until its helpers are done */
    int stopping;

    clstm_task *run; /* written while the word `region` is 0, read by those who hold a ticket */
    void *context;
    ptrdiff_t tasks;
    float_mode mode;
    _Alignas(64) uint32_t region;
    _Alignas(64) ptrdiff_t next; /* task to be claimed */
} pool = {
    .lock = SYNC_LOCK_INIT, .work = SYNC_CONDITION_INIT, .done = SYNC_CONDITION_INIT, .most_workers = MAX_WORKERS};

#define LOAD(p) __atomic_load_n(p, __ATOMIC_SEQ_CST)
#define STORE(p, value) __atomic_store_n(p, value, __ATOMIC_SEQ_CST)

static int at_most(ptrdiff_t value, int limit) { return value < limit ? (int)value : limit; }

/* The number of the ticket taken, or 0: there was none. */
static int take_ticket(void) {
    uint32_t seen = LOAD(&pool.region);
    while (seen >= TICKET)
        if (__atomic_compare_exchange_n(&pool.region, &seen, seen - TICKET + 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
            return (int)(seen / TICKET);
    return 0;
}

static void do_tasks(int worker) {
    for (;;) {
        const ptrdiff_t task = __atomic_fetch_add(&pool.next, 1, __ATOMIC_RELAXED);
        if (task >= pool.tasks) break;
        pool.run(pool.context, task, worker);
    }
    __atomic_fetch_and(&pool.region, PRESENT, __ATOMIC_SEQ_CST);
}

/* ---- workers */

/* Waits for a ticket; 0 means that the pool is being stopped. */
static int await_ticket(void) {
    int ticket;
    for (int spin = 0; spin < PAUSES; spin++) {
        if ((ticket = take_ticket()) != 0) return ticket;
        cpu_pause();
    }
    lock_acquire(&pool.lock);
    STORE(&pool.asleep, pool.asleep + 1);
    while ((ticket = take_ticket()) == 0 && !pool.stopping) condition_wait(&pool.work, &pool.lock);
    STORE(&pool.asleep, pool.asleep - 1);
    lock_release(&pool.lock);
    return ticket;
}

static void leave_region(void) {
    if (__atomic_sub_fetch(&pool.region, 1, __ATOMIC_SEQ_CST) != 0 || !LOAD(&pool.awaited)) return;
    /* The caller may be gone by now, and even another one be waiting: a needless call wakes it for one more look. */
    lock_acquire(&pool.lock);
    lock_release(&pool.lock);
    condition_wake_one(&pool.done);
}

static void work_until_stopped(void) {
    int ticket;
    while ((ticket = await_ticket()) != 0) {
        float_mode_set(pool.mode);
        do_tasks(ticket);
        leave_region();
    }
}

/* ---- the caller */

/* A child of fork has the memory but none of the other threads; locks may be held for ever by one that is gone. It
 * starts anew. (A task must not fork: its region would lose the tasks that other threads had claimed.) */
static void forget_workers(void) {
    pool.lock = (sync_lock)SYNC_LOCK_INIT;
    pool.work = pool.done = (sync_condition)SYNC_CONDITION_INIT;
    pool.most_workers = MAX_WORKERS;
    pool.workers = pool.taken = pool.asleep = pool.awaited = pool.stopping = 0;
    pool.region = 0;
}

/* Sees to it that there are `wanted` workers; returns how many of those there are. */
static int hire(int wanted) {
    if (!pool.forks_handled) pool.forks_handled = call_in_forked_child(forget_workers);
    if (!pool.forks_handled) return 0;
    while (pool.workers < wanted && pool.workers < pool.most_workers) {
        if (thread_start(&pool.thread[pool.workers], work_until_stopped, STACK_BYTES))
            STORE(&pool.workers, pool.workers + 1);
        else pool.most_workers = pool.workers; /* asking again in each call would cost more than it could bring */
    }
    return at_most(pool.workers, wanted);
}

static void open_region(int helpers, ptrdiff_t tasks, clstm_task *run, void *context) {
    pool.run = run;
    pool.context = context;
    pool.tasks = tasks;
    pool.mode = float_mode_get();
    __atomic_store_n(&pool.next, 0, __ATOMIC_RELAXED);
    STORE(&pool.region, (uint32_t)helpers * TICKET);
    /* Workers that are awake will come by themselves. */
    const int asleep = LOAD(&pool.asleep), missing = helpers - (pool.workers - asleep);
    if (missing <= 0) return;
    lock_acquire(&pool.lock);
    lock_release(&pool.lock);
    for (int i = 0; i < missing; i++) condition_wake_one(&pool.work);
}

static void await_helpers(void) {
    for (int spin = 0; spin < CALLER_PAUSES; spin++) {
        if (LOAD(&pool.region) == 0) return;
        cpu_pause();
    }
    lock_acquire(&pool.lock);
    STORE(&pool.awaited, 1);
    while (LOAD(&pool.region) != 0) condition_wait(&pool.done, &pool.lock);
    STORE(&pool.awaited, 0);
    lock_release(&pool.lock);
}

static int take_pool(void) {
    return __atomic_load_n(&pool.taken, __ATOMIC_RELAXED) == 0 &&
           !__atomic_exchange_n(&pool.taken, 1, __ATOMIC_ACQUIRE);
}

static void return_pool(void) { __atomic_store_n(&pool.taken, 0, __ATOMIC_RELEASE); }

void clstm_parallel(int threads, ptrdiff_t tasks, clstm_task *run, void *context) {
    if (threads > 1 && tasks > 1 && take_pool()) {
        const int helpers = hire(at_most(tasks - 1, at_most(threads - 1, MAX_WORKERS)));
        if (helpers > 0) {
            open_region(helpers, tasks, run, context);
            do_tasks(0);
            await_helpers();
            return_pool();
            return;
        }
        return_pool();
    }
    for (ptrdiff_t task = 0; task < tasks; task++) run(context, task, 0);
}

void clstm_threads_stop(void) {
    lock_acquire(&pool.lock);
    pool.stopping = 1;
    lock_release(&pool.lock);
    condition_wake_all(&pool.work);
    for (int i = 0; i < pool.workers; i++) thread_join(pool.thread[i]);
    STORE(&pool.workers, 0);
    pool.stopping = 0;
    pool.most_workers = MAX_WORKERS;
}

int clstm_threads_running(void) { return LOAD(&pool.workers); }

int clstm_threads_awake(void) { return LOAD(&pool.workers) - LOAD(&pool.asleep); }

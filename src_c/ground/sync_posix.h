/* Locks, conditions and threads, for threads.c alone. sync_windows.h has the same names. */
#ifndef CLSTM_SYNC_H
#define CLSTM_SYNC_H

#include <pthread.h>
#include <signal.h>

typedef pthread_mutex_t sync_lock;
typedef pthread_cond_t sync_condition;
typedef pthread_t sync_thread;

#define SYNC_LOCK_INIT PTHREAD_MUTEX_INITIALIZER
#define SYNC_CONDITION_INIT PTHREAD_COND_INITIALIZER

static inline void lock_acquire(sync_lock *lock) { pthread_mutex_lock(lock); }
static inline void lock_release(sync_lock *lock) { pthread_mutex_unlock(lock); }
static inline void condition_wait(sync_condition *c, sync_lock *held) { pthread_cond_wait(c, held); }
static inline void condition_wake_one(sync_condition *c) { pthread_cond_signal(c); }
static inline void condition_wake_all(sync_condition *c) { pthread_cond_broadcast(c); }

static void *thread_main(void *body) {
    ((void (*)(void))body)();
    return NULL;
}

/* The thread takes no signals: a program expects its handlers to run on threads of its own. The exceptions are those
 * that a thread causes itself, which only it can report. Returns 0 if there is no thread to be had. */
static inline int thread_start(sync_thread *thread, void (*body)(void), size_t stack_bytes) {
    pthread_attr_t attributes;
    sigset_t blocked, before;
    if (pthread_attr_init(&attributes) != 0) return 0;
    pthread_attr_setstacksize(&attributes, stack_bytes);
    sigfillset(&blocked);
    sigdelset(&blocked, SIGSEGV);
    sigdelset(&blocked, SIGBUS);
    sigdelset(&blocked, SIGFPE);
    sigdelset(&blocked, SIGILL);
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    const int failure = pthread_create(thread, &attributes, thread_main, (void *)body);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return failure == 0;
}

static inline void thread_join(sync_thread thread) { pthread_join(thread, NULL); }

/* From now on `handler` runs first thing in every child of fork. Returns 0 if that cannot be arranged. */
static inline int call_in_forked_child(void (*handler)(void)) { return pthread_atfork(NULL, NULL, handler) == 0; }

#endif

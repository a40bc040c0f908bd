/* Locks, conditions and threads, for threads.c alone. sync_posix.h has the same names. */
#ifndef CLSTM_SYNC_H
#define CLSTM_SYNC_H

#include <windows.h>

#include <process.h>

typedef SRWLOCK sync_lock;
typedef CONDITION_VARIABLE sync_condition;
typedef HANDLE sync_thread;

#define SYNC_LOCK_INIT SRWLOCK_INIT
#define SYNC_CONDITION_INIT CONDITION_VARIABLE_INIT

static inline void lock_acquire(sync_lock *lock) { AcquireSRWLockExclusive(lock); }
static inline void lock_release(sync_lock *lock) { ReleaseSRWLockExclusive(lock); }
static inline void condition_wait(sync_condition *c, sync_lock *held) {
    SleepConditionVariableSRW(c, held, INFINITE, 0);
}
static inline void condition_wake_one(sync_condition *c) { WakeConditionVariable(c); }
static inline void condition_wake_all(sync_condition *c) { WakeAllConditionVariable(c); }

static unsigned __stdcall thread_main(void *body) {
    ((void (*)(void))body)();
    return 0;
}

/* Returns 0 if there is no thread to be had. */
static inline int thread_start(sync_thread *thread, void (*body)(void), size_t stack_bytes) {
    *thread = (HANDLE)_beginthreadex(NULL, (unsigned)stack_bytes, thread_main, (void *)body,
                                     STACK_SIZE_PARAM_IS_A_RESERVATION, NULL);
    return *thread != NULL;
}

static inline void thread_join(sync_thread thread) {
    WaitForSingleObject(thread, INFINITE);
    CloseHandle(thread);
}

/* There is no fork. */
static inline int call_in_forked_child(void (*handler)(void)) {
    (void)handler;
    return 1;
}

#endif

/* One small pool of worker threads for the whole process. */
#ifndef CLSTM_THREADS_H
#define CLSTM_THREADS_H

#include <stddef.h>

/* One piece of work. Tasks are claimed in order by whichever thread is free, so a task's result must not depend on
 * `worker`, which only names a scratch area: 0 <= worker < threads, never the same for two threads at once. */
typedef void clstm_task(void *context, ptrdiff_t task, int worker);

/* Runs task 0 .. tasks-1, each once, on up to `threads` threads, the calling one among them; returns when all are
 * done. Never fails: where no worker can be had (pool busy with another caller, a call from inside a task, no thread
 * to be created), the caller does the work alone. Idle workers sleep; waiting ones spin for microseconds at most. */
void clstm_parallel(int threads, ptrdiff_t tasks, clstm_task *run, void *context);

/* Workers that are at work or wait for it without sleeping: none of them would have to be woken. A hint, out of date
 * as soon as it is given. */
int clstm_threads_awake(void);

#endif

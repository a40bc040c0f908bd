/* A few threads that meet again and again: for work that comes in pieces of microseconds, one after another. */
#ifndef CLSTM_TEAM_H
#define CLSTM_TEAM_H

#include "threads.h"

struct clstm_team;

/* Calls body(context, team) once, on this thread or on another, with up to threads - 1 helpers of the pool standing by
 * until it returns. */
typedef void clstm_team_body(void *context, struct clstm_team *team);
void clstm_team_work(int threads, clstm_team_body *body, void *context);

/* Within the body: runs part 0 .. parts-1, each once, on it and on the helpers who are there; returns when all are
 * done. Nobody is waited for who has not come: a helper without a processor leaves its part to the others. `worker` is
 * the number of the thread, below `threads`. team NULL: the caller does it all. */
void clstm_team_share(struct clstm_team *team, ptrdiff_t parts, clstm_task *run, void *context);

#endif

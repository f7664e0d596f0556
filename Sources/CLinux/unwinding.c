// Libraries end their threads with pthread_exit (libargon2 does), which unwinds the thread's stack. In a
// binary without unwind tables that is an abort: a test of the binary itself ends a thread that way.
#include "CLinux.h"

#include <errno.h>
#include <pthread.h>

struct request {
    void (*frame)(void (*next)(void));
    int cleanups;
};

static void count(void *request) { ((struct request *)request)->cleanups += 1; }

static void end_thread(void) { pthread_exit(NULL); }

static void *begin(void *argument) {
    struct request *request = argument;
    pthread_cleanup_push(count, request);
    request->frame(end_thread);
    pthread_cleanup_pop(0);
    return argument;
}

int firstlight_end_thread_through(void (*frame)(void (*next)(void))) {
    struct request request = {.frame = frame};
    pthread_t thread;
    void *result = &request;
    int failure = pthread_create(&thread, NULL, begin, &request);
    if (failure == 0) failure = pthread_join(thread, &result);
    if (failure != 0) return -failure;
    return result == NULL && request.cleanups == 1 ? 0 : -EFAULT;
}

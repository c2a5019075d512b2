/* Preloaded into a process, makes each of its fdatasync and fsync take 5 ms at the least, and notes when it began and
   ended, in nanoseconds of the monotonic clock: two 64-bit numbers in the file that SLOW_SYNC_NOTES names. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define COST 5000000L
#define SECOND 1000000000L

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * SECOND + time.tv_nsec;
}

static int slowly(long call, int fd)
{
    int64_t moments[2] = {now(), 0};
    int answer = syscall(call, fd), error = errno;
    struct timespec end = {(moments[0] + COST) / SECOND, (moments[0] + COST) % SECOND};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL) == EINTR)
        ;
    moments[1] = now();
    int notes = open(getenv("SLOW_SYNC_NOTES"), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (notes < 0 || write(notes, moments, sizeof moments) != sizeof moments)
        abort();
    close(notes);
    errno = error;
    return answer;
}

int fsync(int fd)
{
    return slowly(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    return slowly(SYS_fdatasync, fd);
}

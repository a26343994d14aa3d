// The yardsticks of `scripts/bench.sh isolation`: children made by bare system calls, one after the
// other. It measures nothing itself; the caller times two counts and takes the difference.
//
//   children fork COUNT                    fork, _exit in the child, wait
//   children spawn COUNT PROGRAM ARG...    posix_spawn of a program, wait
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static void fail(const char *what) {
    perror(what);
    exit(96);
}

static void await_success(pid_t child) {
    int status = 0;
    if (waitpid(child, &status, 0) != child) fail("waitpid");
    if (status != 0) {
        fprintf(stderr, "a child ended with wait status %d\n", status);
        exit(96);
    }
}

int main(int count, char **words) {
    if (count < 3) {
        fprintf(stderr, "usage: children fork COUNT | spawn COUNT PROGRAM ARG...\n");
        return 2;
    }
    long children = strtol(words[2], NULL, 10);
    int forks = strcmp(words[1], "fork") == 0;
    if (!forks && count < 4) return 2;
    for (long made = 0; made < children; made++) {
        pid_t child = 0;
        if (forks) {
            child = fork();
            if (child == -1) fail("fork");
            if (child == 0) _exit(0);
        } else if (posix_spawn(&child, words[3], NULL, NULL, words + 3, environ) != 0) {
            fail("posix_spawn");
        }
        await_success(child);
    }
    return 0;
}

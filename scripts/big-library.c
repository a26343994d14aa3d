// Crashes inside a big stripped library (ONNX Runtime, as libbig.so beside this program) with a pool of threads: in the logger that
// it calls while it makes a session, at once or when it has as many threads as the first argument says.
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

// Places in OrtApi, whose order never changes (onnxruntime_c_api.h).
enum { CREATE_ENV_WITH_LOGGER = 4, CREATE_SESSION_FROM_ARRAY = 8, CREATE_OPTIONS = 10, SET_THREADS = 24 };

typedef struct { void **(*api)(unsigned version); } Base;
typedef void *(*Function)();

static unsigned threads;
static volatile int *volatile bad_address;

static void log_message(void) {
    struct stat tasks;
    if (!stat("/proc/self/task", &tasks) && tasks.st_nlink - 2 >= threads)
        *bad_address = 1;
}

// y = Relu(x) on one number, as a ModelProto (onnx.proto).
static const char model[] = "\x08\x08\x42\x02\x10\x0d\x3a\x33"
                            "\x0a\x0c\x0a\x01x\x12\x01y\x22\x04Relu\x12\x01g"
                            "\x5a\x0f\x0a\x01x\x12\x0a\x0a\x08\x08\x01\x12\x04\x0a\x02\x08\x01"
                            "\x62\x0f\x0a\x01y\x12\x0a\x0a\x08\x08\x01\x12\x04\x0a\x02\x08\x01";

int main(int count, char **arguments) {
    if (count != 2)
        return 2;
    threads = (unsigned)atoi(arguments[1]);
    void *library = dlopen("libbig.so", RTLD_NOW);
    if (!library) {
        puts(dlerror());
        return 2;
    }
    Base *(*base)(void) = (Base * (*)(void)) dlsym(library, "OrtGetApiBase");
    void **api = base()->api(16);
    puts("ready");
    fflush(stdout);
    char byte;
    if (read(0, &byte, 1) != 1)
        return 2;
    void *environment, *options, *session;
    ((Function)api[CREATE_ENV_WITH_LOGGER])(log_message, NULL, 0, "test", &environment);
    ((Function)api[CREATE_OPTIONS])(&options);
    ((Function)api[SET_THREADS])(options, 9);
    ((Function)api[CREATE_SESSION_FROM_ARRAY])(environment, model, sizeof model - 1, options, &session);
    return 3;
}

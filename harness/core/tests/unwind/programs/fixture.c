// Crashes in the way that its first argument names, with a chain of functions that its mode knows.
// Two threads wait in system calls. Says "ready" and waits for a byte before it begins.
#define _GNU_SOURCE
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define APART __attribute__((noinline, noclone))
// Keeps a call from becoming the function's last instruction.
#define AFTER __asm__ volatile("" ::: "memory")

volatile int sink;
volatile long *volatile bad_address = (long *)0x18;
void *volatile bad_function;
const char *mode;

APART void store_badly(void) {
    *bad_address = 1;
    AFTER;
}

APART void plain(int depth) {
    char room[64];
    snprintf(room, sizeof room, "%d", depth);
    sink += room[0];
    if (depth == 0)
        store_badly();
    else
        plain(depth - 1);
    AFTER;
}

static inline __attribute__((always_inline)) void inlined_inner(void) {
    *bad_address = 2;
}
static inline __attribute__((always_inline)) void inlined_outer(void) {
    sink++;
    inlined_inner();
    AFTER;
}
APART void inlining(void) {
    inlined_outer();
    AFTER;
}

APART void call_bad_function(void) {
    ((void (*)(void))bad_function)();
    AFTER;
}

APART void call_badly(uintptr_t where) {
    bad_function = (void *)where;
    call_bad_function();
    AFTER;
}

APART void call_data(void) {
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(page, 0xc3, 4096);
    call_badly((uintptr_t)page);
    AFTER;
}

APART void copy_badly(size_t bytes) {
    memcpy((void *)bad_address, (void *)store_badly, bytes);
    AFTER;
}

APART void free_twice(void) {
    void *volatile block = malloc(2000), *volatile behind = malloc(2000);
    free(block);
    free(block);
    sink += behind != NULL;
}

APART int compare(const void *left, const void *right) {
    sink += left < right;
    store_badly();
    AFTER;
    return 0;
}

APART void sort_badly(void) {
    int numbers[] = {4, 2, 3, 1};
    qsort(numbers, 4, sizeof numbers[0], compare);
    AFTER;
}

APART void on_signal(int signal) {
    sink += signal;
    store_badly();
    AFTER;
}

// The alternate stack lies where it likes, here below the thread's own.
APART void with_handler(int signal, void (*then)(void)) {
    static char alternate[64 * 1024];
    stack_t stack = {.ss_sp = alternate, .ss_size = sizeof alternate};
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK | SA_RESETHAND};
    sigaltstack(&stack, NULL);
    sigaction(signal, &action, NULL);
    then();
    AFTER;
}

APART void raise_signal(void) {
    raise(SIGUSR1);
    AFTER;
}

APART void call_null(void) {
    call_badly(0);
    AFTER;
}

// The fault has a handler, which makes another one.
APART void with_fault_handler(void) {
    with_handler(SIGSEGV, call_null);
    AFTER;
}

APART int overflow(int depth) {
    volatile char room[48];
    room[depth & 31] = (char)depth;
    return overflow(depth + 1) + room[depth & 15];
}

APART void overflow_from_here(void) {
    sink += overflow(0);
    AFTER;
}

APART void over_aligned(int bytes) {
    char *variable = __builtin_alloca((size_t)bytes);
    __attribute__((aligned(64))) volatile char aligned[128];
    aligned[bytes & 127] = 1;
    variable[0] = 1;
    sink += aligned[3] + variable[0] + ((uintptr_t)aligned & 63 ? 100 : 0);
    store_badly();
    sink += aligned[5];
}

APART int compare_well(const void *left, const void *right) {
    return *(const int *)left - *(const int *)right;
}

// Assembly without unwind information.
void asm_leaf(void), asm_pushing(void), asm_calling(void), asm_with_pointer(void);
void call_ambiguously(void);
__asm__(".text\n"
        ".type asm_leaf,@function\nasm_leaf: mov bad_address(%rip),%rax; movq $3,(%rax); ret\n"
        ".size asm_leaf,.-asm_leaf\n"
        ".type asm_pushing,@function\nasm_pushing: push %rbx; sub $32,%rsp; mov bad_address(%rip),%rax\n"
        " movq $3,(%rax); add $32,%rsp; pop %rbx; ret\n.size asm_pushing,.-asm_pushing\n"
        ".type asm_calling,@function\nasm_calling: sub $40,%rsp; call store_badly; add $40,%rsp; ret\n"
        ".size asm_calling,.-asm_calling\n"
        ".type asm_with_pointer,@function\nasm_with_pointer: push %rbp; mov %rsp,%rbp; sub $32,%rsp\n"
        " call store_badly; leave; ret\n.size asm_with_pointer,.-asm_with_pointer\n"
        // With unwind information. The end of `mov -0x18(%rbp),%edx` reads as the begin of a call of
        // five bytes, of which the true one, through a register, is the end.
        ".type call_ambiguously,@function\ncall_ambiguously: .cfi_startproc; push %rbp\n"
        " .cfi_def_cfa_offset 16; .cfi_offset 6,-16; mov %rsp,%rbp; .cfi_def_cfa_register 6\n"
        " sub $32,%rsp; lea asm_with_pointer(%rip),%rax; mov -0x18(%rbp),%edx; mov %edx,%edi\n"
        " call *%rax; leave; .cfi_def_cfa 7,8; ret; .cfi_endproc\n"
        ".size call_ambiguously,.-call_ambiguously\n");

APART void call_asm_leaf(void) {
    asm_leaf();
    AFTER;
}
APART void call_asm_pushing(void) {
    asm_pushing();
    AFTER;
}
APART void call_asm_calling(void) {
    asm_calling();
    AFTER;
}
APART void call_asm_with_pointer(void) {
    asm_with_pointer();
    AFTER;
}

APART void run_code(const void *code, size_t bytes) {
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memcpy(page, code, bytes);
    mprotect(page, 4096, PROT_READ | PROT_EXEC);
    bad_function = page;
    call_bad_function();
    AFTER;
}

// sub $24,%rsp; xor %eax,%eax; movl $1,(%rax); add $24,%rsp; ret
static const unsigned char without_pointer[] = {0x48, 0x83, 0xec, 0x18, 0x31, 0xc0, 0xc7, 0,   1,
                                                0,    0,    0,    0x48, 0x83, 0xc4, 0x18, 0xc3};
// push %rbp; mov %rsp,%rbp; sub $64,%rsp; mov $store_badly,%rax; call *%rax; leave; ret
static unsigned char with_pointer[] = {0x55, 0x48, 0x89, 0xe5, 0x48, 0x83, 0xec, 0x40, 0x48, 0xb8, 0, 0,
                                       0,    0,    0,    0,    0,    0,    0xff, 0xd0, 0xc9, 0xc3};

// Called through a pointer, so that a return address behind it does not tell what was called.
APART void run_code_by_pointer(void) {
    void (*volatile callee)(void) = call_bad_function;
    callee();
    AFTER;
}

APART void run_generated_by_pointer(void) {
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memcpy(page, without_pointer, sizeof without_pointer);
    mprotect(page, 4096, PROT_READ | PROT_EXEC);
    bad_function = page;
    run_code_by_pointer();
    AFTER;
}

APART void run_generated(int keeps_pointer) {
    char room[64];
    void (*callee)(void) = store_badly;
    memcpy(with_pointer + 10, &callee, sizeof callee);
    // What was called before leaves its return addresses below.
    snprintf(room, sizeof room, "%d %p", keeps_pointer, (void *)with_pointer);
    if (keeps_pointer)
        run_code(with_pointer, sizeof with_pointer);
    else
        run_code(without_pointer, sizeof without_pointer);
    AFTER;
}

// Between two breakpoints: calls that are bound when first made, the vDSO, a callback. No over-aligned
// frame: gcc 12 leaves the rule for rbp as it was for the two instructions behind `leave`.
APART void stepped(int depth) {
    struct timespec now;
    int numbers[] = {4, 2, 3, 1};
    char room[64];
    __asm__ volatile("int3");
    clock_gettime(CLOCK_MONOTONIC, &now);
    qsort(numbers, 4, sizeof numbers[0], compare_well);
    snprintf(room, sizeof room, "%d %.3f", depth, 1.5);
    sink += room[0] + numbers[0] + (int)now.tv_sec;
    __asm__ volatile("int3");
}

static void *crash_here(void *nothing) {
    plain(2);
    return nothing;
}

APART void crash_in_thread(void) {
    pthread_t thread;
    pthread_create(&thread, NULL, crash_here, NULL);
    pthread_join(thread, NULL);
}

APART void crash_behind_zombie(void) {
    pthread_t thread;
    pthread_create(&thread, NULL, crash_here, (void *)1);
    pthread_exit(NULL);
}

static sem_t begun;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t never = PTHREAD_COND_INITIALIZER;

static void *wait_for_signal(void *nothing) {
    sem_post(&begun);
    for (;;)
        pause();
    return nothing;
}
static void *wait_for_condition(void *nothing) {
    pthread_mutex_lock(&lock);
    sem_post(&begun);
    for (;;)
        pthread_cond_wait(&never, &lock);
    return nothing;
}

APART void crash(void) {
    if (!strcmp(mode, "plain")) plain(3);
    if (!strcmp(mode, "inline")) inlining();
    if (!strcmp(mode, "wild")) call_badly(0xdead0000);
    if (!strcmp(mode, "non-canonical")) call_badly(0x1234567812345678);
    if (!strcmp(mode, "null")) call_null();
    if (!strcmp(mode, "no-execute")) call_data();
    if (!strcmp(mode, "memcpy")) copy_badly(77 + (size_t)sink);
    if (!strcmp(mode, "double-free")) free_twice();
    if (!strcmp(mode, "qsort")) sort_badly();
    if (!strcmp(mode, "signal")) with_handler(SIGUSR1, raise_signal);
    if (!strcmp(mode, "null-handled")) with_fault_handler();
    if (!strcmp(mode, "overflow")) sink += overflow(0);
    if (!strcmp(mode, "overflow-handled")) with_handler(SIGSEGV, overflow_from_here);
    if (!strcmp(mode, "over-aligned")) over_aligned(40);
    if (!strcmp(mode, "thread")) crash_in_thread();
    if (!strcmp(mode, "zombie-leader")) crash_behind_zombie();
    if (!strcmp(mode, "stepped")) stepped(7);
    if (!strcmp(mode, "asm-leaf")) call_asm_leaf();
    if (!strcmp(mode, "asm-pushing")) call_asm_pushing();
    if (!strcmp(mode, "asm-calling")) call_asm_calling();
    if (!strcmp(mode, "asm-with-pointer")) call_asm_with_pointer();
    if (!strcmp(mode, "asm-called-ambiguously")) call_ambiguously();
    if (!strcmp(mode, "generated")) run_generated(0);
    if (!strcmp(mode, "generated-by-pointer")) run_generated_by_pointer();
    if (!strcmp(mode, "generated-with-pointer")) run_generated(1);
    AFTER;
}

int main(int count, char **arguments) {
    pthread_t threads[2];
    if (count != 2)
        return 2;
    mode = arguments[1];
    sem_init(&begun, 0, 0);
    pthread_create(&threads[0], NULL, wait_for_signal, NULL);
    pthread_create(&threads[1], NULL, wait_for_condition, NULL);
    sem_wait(&begun);
    sem_wait(&begun);
    puts("ready");
    fflush(stdout);
    char byte;
    if (read(0, &byte, 1) != 1)
        return 2;
    crash();
    return 3;
}

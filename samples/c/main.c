/*
 * A C guest without an operating system: it asks the hypervisor for its name, sorts an array of structures and counts in a
 * recursive function.
 *
 * What to look at: run `make`, then F5 with the configuration "C guest". Break in `sort_tasks` and look at the locals: `tasks`
 * is a pointer to structures that can be unfolded, and `tasks[1].name` works in Watch. In `fibonacci` the call stack shows one
 * frame for each level, each with its own `n`. Step into `cpuid` of `detect_hypervisor` and one step further: the VM exit.
 */

#include "guest.h"

enum state { SLEEPING, READY, RUNNING };

struct task {
    const char *name;
    int priority;
    enum state state;
    u64 ticks[3];
};

static struct task tasks[] = {
    { "logger", 20, SLEEPING, { 1, 2, 3 } },
    { "network", 5, READY, { 40, 50, 60 } },
    { "idle", 99, RUNNING, { 700, 800, 900 } },
    { "disk", 7, READY, { 11, 12, 13 } },
};
#define TASKS (sizeof tasks / sizeof tasks[0])

static unsigned calls;

static void detect_hypervisor(void)
{
    union {
        u32 words[3];
        char text[13];
    } signature = { 0 };
    struct cpuid features = cpuid(1);

    print("hypervisor: ");
    if (!(features.ecx >> 31)) {
        print("none\n");
        return;
    }
    struct cpuid leaf = cpuid(0x40000000);
    signature.words[0] = leaf.ebx;
    signature.words[1] = leaf.ecx;
    signature.words[2] = leaf.edx;
    print(signature.text);
    print(", highest leaf 0x");
    print_hex(leaf.eax, 8);
    print("\n");
}

static u64 total_ticks(const struct task *task)
{
    u64 sum = 0;
    for (int i = 0; i < 3; i++)
        sum += task->ticks[i];
    return sum;
}

/* Insertion sort by priority. */
static void sort_tasks(struct task *list, int count)
{
    for (int i = 1; i < count; i++) {
        struct task moving = list[i];
        int j = i;
        while (j > 0 && list[j - 1].priority > moving.priority) {
            list[j] = list[j - 1];
            j--;
        }
        list[j] = moving;
    }
}

static int fibonacci(int n)
{
    calls++;
    if (n < 2)
        return n;
    return fibonacci(n - 1) + fibonacci(n - 2);
}

int main(void)
{
    detect_hypervisor();

    sort_tasks(tasks, TASKS);
    for (unsigned i = 0; i < TASKS; i++) {
        const struct task *task = &tasks[i];
        print(task->name);
        print(": priority ");
        print_number(task->priority);
        print(", ticks ");
        print_number(total_ticks(task));
        print("\n");
    }

    int value = fibonacci(10);
    print("fibonacci(10) = ");
    print_number(value);
    print(" in ");
    print_number(calls);
    print(" calls\n");
    return value == 55 ? 0 : 1;
}

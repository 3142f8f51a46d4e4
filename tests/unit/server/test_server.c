/* The rooms of the server that need no network: bell, queue, base64, CPU quotas, figures. */
#include "server/base64.h"
#include "server/cpus.h"
#include "server/figures.h"
#include "server/work/queue.h"
#include "tests/support/support.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static void *take_one(struct queue *queue)
{
    void *item;
    return queue_take(queue, &item, 1, 1) ? item : NULL;
}

START_TEST(test_queue_is_bounded_and_fair)
{
    static int items[5];
    struct bell *bell = bell_create();
    struct queue *queue = queue_create(3, bell);

    for (int round = 0; round < 4; round++) { /* the ring goes round */
        for (int i = 0; i < 3; i++)
            ck_assert_int_eq(queue_push(queue, &items[i]), QUEUE_OK);
        ck_assert_int_eq(queue_push(queue, &items[3]), QUEUE_FULL);
        ck_assert_uint_eq(queue_length(queue), 3);
        ck_assert_ptr_eq(take_one(queue), &items[0]);
        ck_assert_int_eq(queue_push(queue, &items[4]), QUEUE_OK);
        ck_assert_ptr_eq(take_one(queue), &items[1]);
        ck_assert_ptr_eq(take_one(queue), &items[2]);
        ck_assert_ptr_eq(take_one(queue), &items[4]);
        ck_assert_ptr_null(take_one(queue));
    }
    queue_push(queue, &items[0]);
    queue_close(queue);
    ck_assert_int_eq(queue_push(queue, &items[1]), QUEUE_CLOSED);
    ck_assert(!queue_over(queue));
    ck_assert_ptr_eq(take_one(queue), &items[0]); /* what was taken is still handed out */
    ck_assert(queue_over(queue));
    queue_destroy(&queue);
    ck_assert_ptr_null(queue);
    bell_destroy(&bell);
    ck_assert_ptr_null(bell);
}
END_TEST

START_TEST(test_queue_is_shared_out)
{
    static const struct {
        size_t waiting, most, takers, taken;
    } rows[] = {{0, 8, 1, 0}, {1, 8, 1, 1}, {1, 8, 4, 1}, {7, 8, 1, 7},   {7, 8, 2, 4},
                {7, 8, 3, 3}, {7, 8, 7, 1}, {9, 8, 1, 8}, {20, 8, 2, 8}, {9, 1, 1, 1}};
    static int items[20];
    struct bell *bell = bell_create();

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct queue *queue = queue_create(20, bell);
        void *taken[20];
        for (size_t n = 0; n < rows[i].waiting; n++)
            queue_push(queue, &items[n]);
        ck_assert_uint_eq(queue_take(queue, taken, rows[i].most, rows[i].takers), rows[i].taken);
        ck_assert_uint_eq(queue_length(queue), rows[i].waiting - rows[i].taken);
        for (size_t n = 0; n < rows[i].taken; n++)
            ck_assert_ptr_eq(taken[n], &items[n]);
        queue_destroy(&queue);
    }
    bell_destroy(&bell);
}
END_TEST

enum { PRODUCED = 20000, CONSUMERS = 3, AT_ONCE = 4 };
static int produced[PRODUCED], seen[PRODUCED];

/* A queue and the bell that it rings. */
struct works {
    struct queue *queue;
    struct bell *bell;
};

/* Never spins: an item that was not rung for would stay, and the test would hang. */
static void *consume(void *context)
{
    struct works *works = context;
    void *items[AT_ONCE];

    while (!queue_over(works->queue)) {
        unsigned heard = bell_listen(works->bell);
        size_t count = queue_take(works->queue, items, AT_ONCE, CONSUMERS);
        for (size_t i = 0; i < count; i++)
            __atomic_fetch_add(&seen[(int *)items[i] - produced], 1, __ATOMIC_RELAXED);
        if (count == 0 && !queue_over(works->queue))
            bell_sleep(works->bell, heard);
    }
    return NULL;
}

START_TEST(test_queue_hands_each_item_out_once)
{
    struct bell *bell = bell_create();
    struct works works = {queue_create(16, bell), bell};
    pthread_t threads[CONSUMERS];

    for (int i = 0; i < CONSUMERS; i++)
        pthread_create(&threads[i], NULL, consume, &works);
    for (int i = 0; i < PRODUCED; i++)
        while (queue_push(works.queue, &produced[i]) == QUEUE_FULL)
            ;
    queue_close(works.queue);
    for (int i = 0; i < CONSUMERS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < PRODUCED; i++)
        ck_assert_int_eq(seen[i], 1);
    queue_destroy(&works.queue);
    bell_destroy(&works.bell);
}
END_TEST

START_TEST(test_bell_that_rang_lets_nobody_sleep)
{
    struct bell *bell = bell_create();
    unsigned heard = bell_listen(bell);

    bell_ring(bell, 1);
    bell_sleep(bell, heard); /* or the test hangs */
    bell_destroy(&bell);
}
END_TEST

static void *sleep_once(void *bell)
{
    bell_sleep(bell, bell_listen(bell));
    return NULL;
}

START_TEST(test_bell_wakes_everyone)
{
    struct bell *bell = bell_create();
    pthread_t threads[CONSUMERS];

    for (int i = 0; i < CONSUMERS; i++)
        pthread_create(&threads[i], NULL, sleep_once, bell);
    for (int i = 0; i < CONSUMERS; i++) /* one may listen only after a ring, so ring until it is gone */
        while (pthread_tryjoin_np(threads[i], NULL) != 0)
            bell_ring(bell, CONSUMERS);
    bell_destroy(&bell);
}
END_TEST

static bool decodes(const char *text, const char *expected)
{
    uint8_t out[64];
    size_t size;
    return base64_decode(text, strlen(text), out, &size) && size == strlen(expected) &&
           memcmp(out, expected, size) == 0;
}

START_TEST(test_base64)
{
    static const char *const bad[] = {
        "Z", "Zg", "Zg=", "Zh==", "Zm9=", "Z===", "====", "Zm9v\n", "Zm 9", "Zm9-", "=m9v", "Zg==Zg=="};

    ck_assert(decodes("", "") && decodes("Zg==", "f") && decodes("Zm8=", "fo") && decodes("Zm9v", "foo"));
    ck_assert(decodes("Zm9vYg==", "foob") && decodes("Zm9vYmE=", "fooba") &&
              decodes("Pz8/Pj4+", "?"
                                  "?"
                                  "?>>>"));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (decodes(bad[i], "f") || decodes(bad[i], "fo") || decodes(bad[i], "foo") || decodes(bad[i], ""))
            ck_abort_msg("\"%s\" was decoded", bad[i]);
}
END_TEST

static char root[64];

static void put(const char *path, const char *text)
{
    char full[256];
    snprintf(full, sizeof full, "%s%s", root, path);
    for (char *slash = strchr(full + strlen(root) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        mkdir(full, 0700);
        *slash = '/';
    }
    FILE *out = fopen(full, "w");
    ck_assert_ptr_nonnull(out);
    fputs(text, out);
    fclose(out);
}

static void new_root(void)
{
    strcpy(root, "/tmp/espalier-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(root));
}

static void remove_root(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", root);
    ck_assert_int_eq(system(command), 0);
}

START_TEST(test_cpu_quota_of_cgroup_2)
{
    new_root();
    ck_assert_uint_eq(cpus_quota(root), 0);
    put("/proc/self/cgroup", "0::/a/b\n");
    put("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
    ck_assert_uint_eq(cpus_quota(root), 0);
    put("/sys/fs/cgroup/a/b/cpu.max", "250000 100000\n");
    ck_assert_uint_eq(cpus_quota(root), 3); /* rounded up */
    put("/sys/fs/cgroup/a/cpu.max", "50000 100000\n");
    ck_assert_uint_eq(cpus_quota(root), 1); /* the parent's is smaller */
    put("/sys/fs/cgroup/cpu.max", "nonsense\n");
    ck_assert_uint_eq(cpus_quota(root), 1);
    remove_root();
}
END_TEST

START_TEST(test_cpu_quota_of_cgroup_1)
{
    new_root();
    put("/proc/self/cgroup", "5:memory:/x\n4:cpu,cpuacct:/x\n0::/\n");
    put("/sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_quota_us", "-1\n");
    put("/sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_period_us", "100000\n");
    ck_assert_uint_eq(cpus_quota(root), 0);
    put("/sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_quota_us", "400000\n");
    ck_assert_uint_eq(cpus_quota(root), 4);
    remove_root();
    ck_assert_uint_ge(cpus_usable(), 1);
}
END_TEST

START_TEST(test_figures)
{
    static const struct {
        uint64_t value;
        const char *text;
    } rows[] = {{0, "0"},
                {999, "999"},
                {1000, "1.00 k"},
                {6937, "6.94 k"},
                {442380, "442.4 k"},
                {999949, "999.9 k"},
                {999999, "1.00 M"},
                {4311400, "4.31 M"},
                {295872864, "295.9 M"},
                {12000000000, "12.0 G"}};
    char text[FIGURE_MAX];

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        ck_assert_str_eq(figure_write(rows[i].value, text), rows[i].text);
    ck_assert_double_eq(figure_excluded(44163084, 295872864), 0.8507);
    ck_assert_double_eq(figure_excluded(5, 5), 0);
    ck_assert_int_eq(figure_columns("└─ tabby"), 8);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("server");
    TCase *tests = tcase_create("server");

    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, test_queue_is_bounded_and_fair);
    tcase_add_test(tests, test_queue_is_shared_out);
    tcase_add_test(tests, test_queue_hands_each_item_out_once);
    tcase_add_test(tests, test_bell_that_rang_lets_nobody_sleep);
    tcase_add_test(tests, test_bell_wakes_everyone);
    tcase_add_test(tests, test_base64);
    tcase_add_test(tests, test_cpu_quota_of_cgroup_2);
    tcase_add_test(tests, test_cpu_quota_of_cgroup_1);
    tcase_add_test(tests, test_figures);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}

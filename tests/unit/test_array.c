/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Arrays that grow, and the hash of their contents. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/array.h"
#include "common/hash.h"

struct pair {
	int first, second;
};

static void items_are_appended_in_order(void **state)
{
	struct pair *list = NULL;
	size_t count = 0;

	(void)state;
	for (int i = 0; i < 1000; i++)
		assert_int_equal(array_append(list, count, (struct pair){ i, -i }), 0);
	assert_int_equal(count, 1000);
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(list[i].first, i);
		assert_int_equal(list[i].second, -i);
	}
	free(list);
}

static void an_element_of_the_array_itself_can_be_appended(void **state)
{
	struct pair *list = NULL;
	size_t count = 0;

	(void)state;
	assert_int_equal(array_append(list, count, (struct pair){ 1, 2 }), 0);
	for (int i = 0; i < 100; i++)
		assert_int_equal(array_append(list, count, list[0]), 0);
	assert_int_equal(list[100].first, 1);
	assert_int_equal(list[100].second, 2);
	free(list);
}

/* Vectors of draft-eastlake-fnv, appendix C. */
static void the_hash_is_fnv_1a(void **state)
{
	(void)state;
	assert_true(hash_update(HASH_INIT, "", 0) == UINT64_C(0xcbf29ce484222325));
	assert_true(hash_update(HASH_INIT, "a", 1) == UINT64_C(0xaf63dc4c8601ec8c));
	assert_true(hash_update(hash_update(HASH_INIT, "foo", 3), "bar", 3) == UINT64_C(0x85944171f73967e8));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(items_are_appended_in_order),
		cmocka_unit_test(an_element_of_the_array_itself_can_be_appended),
		cmocka_unit_test(the_hash_is_fnv_1a),
	};

	return cmocka_run_group_tests_name("array", tests, NULL, NULL);
}

// sort: a sieve of Eratosthenes, quicksort by hand and by qsort, binary trees
// from malloc: loops, memory traffic, calls through a pointer.
#include "guest.h"

#define SIEVE (1 << 20)
#define ITEMS 100000

static unsigned char composite[SIEVE];
static uint32_t items[ITEMS], copy[ITEMS];

static uint32_t sieve(void) {
	memset(composite, 0, sizeof composite);
	uint32_t count = 0;
	for (uint32_t i = 2; i < SIEVE; i++) {
		if (composite[i])
			continue;
		count++;
		for (uint64_t j = (uint64_t)i * i; j < SIEVE; j += i)
			composite[j] = 1;
	}
	return count;
}

static void quicksort(uint32_t *v, int n) {
	while (n > 12) {
		uint32_t p = v[n / 2];
		int i = 0, j = n - 1;
		while (i <= j) {
			while (v[i] < p)
				i++;
			while (v[j] > p)
				j--;
			if (i <= j) {
				uint32_t t = v[i];
				v[i++] = v[j];
				v[j--] = t;
			}
		}
		quicksort(v, j + 1);
		v += i;
		n -= i;
	}
	for (int i = 1; i < n; i++) {
		uint32_t t = v[i];
		int j = i;
		for (; j > 0 && v[j - 1] > t; j--)
			v[j] = v[j - 1];
		v[j] = t;
	}
}

static int compare(const void *a, const void *b) {
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return x < y ? -1 : x > y;
}

struct node {
	struct node *left, *right;
	uint32_t key;
};

static struct node *insert(struct node *t, uint32_t key) {
	if (!t) {
		t = calloc(1, sizeof *t);
		t->key = key;
	} else if (key < t->key) {
		t->left = insert(t->left, key);
	} else if (key > t->key) {
		t->right = insert(t->right, key);
	}
	return t;
}

static uint64_t drain(struct node *t, uint64_t sum) {
	if (!t)
		return sum;
	sum = drain(t->left, sum) * 31 + t->key;
	sum = drain(t->right, sum);
	free(t);
	return sum;
}

int main(int argc, char **argv) {
	long n = scale_arg(argc, argv, 40);
	for (long i = 1; i <= n; i++) {
		digest_u64(sieve());
		for (int k = 0; k < ITEMS; k++)
			copy[k] = items[k] = (uint32_t)rng();
		quicksort(items, ITEMS);
		qsort(copy, ITEMS, sizeof *copy, compare);
		if (memcmp(items, copy, sizeof items) != 0) {
			printf("sort: two sorts differ\n");
			return 1;
		}
		for (int k = 0; k < ITEMS; k += 997)
			digest_u64(items[k]);
		struct node *t = NULL;
		for (int k = 0; k < 20000; k++)
			t = insert(t, (uint32_t)rng() % 50000);
		digest_u64(drain(t, 0));
		progress("sort", i, n);
	}
	return done("sort");
}

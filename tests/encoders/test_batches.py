"""Batches that a device computes while others are prepared."""

from threading import Barrier, Lock

import numpy as np

from mmroute.encoders.batches import Batches


def test_with_cuda_a_batch_is_prepared_while_another_is_computed():
    both = Barrier(2, timeout=20)

    def embed(batch):
        both.wait()
        return np.array(batch, np.float32)[:, None]

    rows = Batches("", 3, 1, "cuda").embed(embed, range(12), 1)
    assert rows[:, 0].tolist() == list(range(12))


def test_no_more_batches_are_in_memory_than_there_are_threads_and_one_that_waits():
    lock, running, most = Lock(), 0, 0
    full = Barrier(3, timeout=20)

    def embed(batch):
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        full.wait()
        with lock:
            running -= 1
        return np.zeros((len(batch), 1))

    Batches("", 1, 1, "cuda").embed(embed, range(30), 2)
    assert most == 3

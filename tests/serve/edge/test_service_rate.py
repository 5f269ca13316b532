from serve.edge.service_rate import ServiceRate


def test_time_to_wait_follows_from_the_rate():
    rate = ServiceRate()
    assert rate.seconds_for(32, 0.0) == 1
    for number in range(200):
        rate.ended(number / 10)  # 10 a second
    assert rate.seconds_for(40, 20.0) == 4
    assert rate.seconds_for(5, 20.0) == 1
    assert rate.seconds_for(40, 200.0) == 30, "nothing has ended for long, and 30 seconds are the most"


def test_batch_counts_as_its_places():
    one, many = ServiceRate(), ServiceRate()
    for number in range(10):
        one.ended(float(number))
        many.ended(float(number), places=4)
    assert many.seconds_for(40, 10.0) == one.seconds_for(10, 10.0) == 10

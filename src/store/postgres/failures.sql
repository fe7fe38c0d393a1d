-- Failed attempts, counted for all gateways. The arithmetic is that of src/store/throttle/tally.rs.
CREATE TABLE freshgate_failed_key (
    single integer PRIMARY KEY CHECK (single = 1),
    key    bytea NOT NULL
);
CREATE TABLE freshgate_failed (
    kind          integer NOT NULL,  -- 0 account, 1 account at an address, 2 address, 3 known address
    id            bytea NOT NULL,
    forgiven_at   bigint NOT NULL,
    blocked_until bigint NOT NULL,
    PRIMARY KEY (kind, id)
);
CREATE INDEX freshgate_failed_by_end ON freshgate_failed (kind, forgiven_at);

-- How long the next attempt must wait: a wait beyond the longest is of a clock that was set back since.
CREATE FUNCTION freshgate_wait(blocked_until bigint, moment bigint, delay bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN blocked_until - moment BETWEEN 0 AND delay THEN blocked_until - moment ELSE 0 END
$$;

-- The counter after one more failure.
CREATE FUNCTION freshgate_counted(
    INOUT forgiven_at bigint, INOUT blocked_until bigint, moment bigint, free bigint, delay bigint, most bigint
) LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    debt     bigint := least(greatest(forgiven_at - moment, 0) + delay, most * delay);
    failures bigint := least((debt + delay - 1) / delay, most);
    next     bigint := 0;
BEGIN
    IF failures - free >= 32 THEN
        next := delay;
    ELSIF failures >= free THEN
        next := least(1::bigint << (failures - free)::integer, delay);
    END IF;
    forgiven_at := moment + debt;
    blocked_until := moment + greatest(freshgate_wait(blocked_until, moment, delay), next);
END
$$;

-- Lets an attempt in and counts it as failed, or says how long to wait and for which counter. `free`, `delay` and `most`
-- are those of the three kinds, and fourth those of an account where it is known. First it looks without a lock, so that
-- a flood of attempts that must wait writes nothing; then it locks, and looks again.
CREATE FUNCTION freshgate_attempt(
    account bytea, pair bytea, address bytea, at_moment bigint, free bigint[], delay bigint[], most bigint[],
    OUT wait bigint, OUT waits_for integer, OUT known boolean, OUT moment bigint, OUT added bigint[], OUT blocked bigint[]
) LANGUAGE plpgsql AS $$
DECLARE
    ids     bytea[] := ARRAY[account, pair, address];
    f       bigint[] := ARRAY[0, 0, 0];
    b       bigint[] := ARRAY[0, 0, 0];
    judged  integer[];
    counted integer[];
    k       integer;
    rule    integer;
    after   record;
    row_f   bigint;
    row_b   bigint;
    w       bigint;
BEGIN
    moment := coalesce(at_moment, floor(extract(epoch FROM clock_timestamp()))::bigint);
    known := EXISTS (SELECT FROM freshgate_failed t WHERE t.kind = 3 AND t.id = pair AND t.forgiven_at > moment);
    judged := CASE WHEN known THEN ARRAY[1] ELSE ARRAY[0, 1, 2] END;
    counted := CASE WHEN known THEN ARRAY[1, 2] ELSE ARRAY[0, 1, 2] END;
    wait := 0;
    waits_for := 0;
    FOR turn IN 1..2 LOOP
        FOR k IN 0..2 LOOP
            CONTINUE WHEN NOT k = ANY (counted);
            IF turn = 1 THEN
                SELECT t.forgiven_at, t.blocked_until INTO row_f, row_b
                FROM freshgate_failed t WHERE t.kind = k AND t.id = ids[k + 1];
                CONTINUE WHEN NOT FOUND;
            ELSE
                INSERT INTO freshgate_failed AS t VALUES (k, ids[k + 1], 0, 0)
                ON CONFLICT (kind, id) DO UPDATE SET blocked_until = t.blocked_until
                RETURNING t.forgiven_at, t.blocked_until INTO row_f, row_b;
            END IF;
            f[k + 1] := row_f;
            b[k + 1] := row_b;
            rule := CASE WHEN known AND k = 1 THEN 4 ELSE k + 1 END;
            w := freshgate_wait(b[k + 1], moment, delay[rule]);
            IF k = ANY (judged) AND w > 0 AND w >= wait THEN
                wait := w;
                waits_for := k;
            END IF;
        END LOOP;
        IF wait > 0 THEN
            RETURN;
        END IF;
    END LOOP;
    added := ARRAY[0, 0, 0];
    blocked := ARRAY[0, 0, 0];
    FOREACH k IN ARRAY counted LOOP
        rule := CASE WHEN known AND k = 1 THEN 4 ELSE k + 1 END;
        SELECT * INTO after
        FROM freshgate_counted(f[k + 1], b[k + 1], moment, free[rule], delay[rule], most[rule]);
        added[k + 1] := after.forgiven_at - greatest(f[k + 1], moment);
        blocked[k + 1] := after.blocked_until;
        UPDATE freshgate_failed t SET forgiven_at = after.forgiven_at, blocked_until = after.blocked_until
        WHERE t.kind = k AND t.id = ids[k + 1];
    END LOOP;
END
$$;

-- Takes back what an attempt had counted. With `known_until` its password was right: what failed for the account at this
-- address is forgotten, and the address is known.
CREATE FUNCTION freshgate_taken_back(
    account bytea, pair bytea, address bytea, added bigint[], blocked bigint[], known_until bigint
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    ids bytea[] := ARRAY[account, pair, address];
BEGIN
    FOR k IN 0..2 LOOP
        IF k = 1 AND known_until IS NOT NULL THEN
            DELETE FROM freshgate_failed t WHERE t.kind = 1 AND t.id = pair;
        ELSIF added[k + 1] > 0 OR blocked[k + 1] > 0 THEN
            UPDATE freshgate_failed t SET
                forgiven_at = greatest(t.forgiven_at - added[k + 1], 0),
                blocked_until = CASE WHEN t.blocked_until = blocked[k + 1] THEN 0 ELSE t.blocked_until END
            WHERE t.kind = k AND t.id = ids[k + 1];
        END IF;
    END LOOP;
    IF known_until IS NOT NULL THEN
        INSERT INTO freshgate_failed AS t VALUES (3, pair, known_until, 0)
        ON CONFLICT (kind, id) DO UPDATE SET forgiven_at = greatest(t.forgiven_at, excluded.forgiven_at);
    END IF;
END
$$;

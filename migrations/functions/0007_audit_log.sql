-- What writes the audit log. Each runs with the rights of whoever made the tables, so that nobody who may change a table
-- can do so without its being told; who they are, the session still knows.

-- Who makes the changes of this transaction: what it says itself, or its connection; else the database's user.
CREATE FUNCTION tactics_actor() RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT coalesce(nullif(current_setting('tactics.actor', true), ''), 'database:' || session_user)
$$;

-- What is told of a row: these of its columns; `column.md5` is the beginning of its hash, `column.key` a member.
CREATE FUNCTION tactics_told(p_row jsonb, p_names text[]) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_object_agg(
        CASE WHEN name LIKE '%.%' AND name NOT LIKE '%.md5' THEN split_part(name, '.', 2)
             ELSE replace(name, '.', '_') END,
        CASE WHEN name LIKE '%.md5' THEN to_jsonb(left(md5(p_row ->> split_part(name, '.', 1)), 12))
             WHEN name LIKE '%.%' THEN p_row -> split_part(name, '.', 1) -> split_part(name, '.', 2)
             ELSE p_row -> name END)
    FROM unnest(p_names) AS name
$$;

-- For each row: arguments are the kind of thing, the columns that name one (`a/b` for two), and what is told of it.
CREATE FUNCTION tactics_log_row() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    v_old jsonb := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END;
    v_new jsonb := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END;
    v_before jsonb := tactics_told(v_old, TG_ARGV[2:]);
    v_after jsonb := tactics_told(v_new, TG_ARGV[2:]);
    v_subject text;
BEGIN
    IF TG_OP = 'UPDATE' AND v_before = v_after THEN
        RETURN NULL;
    END IF;
    SELECT string_agg(coalesce(v_new, v_old) ->> name, '/' ORDER BY place) INTO v_subject
        FROM unnest(string_to_array(TG_ARGV[1], '/')) WITH ORDINALITY AS named (name, place);
    INSERT INTO audit_log (actor, request_id, action, kind, subject, before, after) VALUES (
        tactics_actor(), nullif(current_setting('tactics.request_id', true), ''),
        CASE TG_OP WHEN 'INSERT' THEN 'created' WHEN 'UPDATE' THEN 'changed' ELSE 'deleted' END,
        TG_ARGV[0], v_subject, CASE WHEN v_old IS NOT NULL THEN v_before END,
        CASE WHEN v_new IS NOT NULL THEN v_after END);
    RETURN NULL;
END
$$;

-- For each statement that changed any rows: how many. The erasure of a user tells of itself, without a count of one.
CREATE FUNCTION tactics_log_statement() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    v_rows bigint;
BEGIN
    SELECT count(*) INTO v_rows FROM changed;
    IF v_rows > 0 AND current_setting('tactics.erasing', true) IS DISTINCT FROM 'yes' THEN
        INSERT INTO audit_log (actor, request_id, action, kind, subject, after) VALUES (
            tactics_actor(), nullif(current_setting('tactics.request_id', true), ''),
            CASE TG_OP WHEN 'INSERT' THEN 'created' WHEN 'UPDATE' THEN 'changed' ELSE 'deleted' END,
            TG_ARGV[0], '*', jsonb_build_object('rows', v_rows));
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION tactics_log_truncate() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO audit_log (actor, request_id, action, kind, subject) VALUES (
        tactics_actor(), nullif(current_setting('tactics.request_id', true), ''), 'emptied', TG_ARGV[0], '*');
    RETURN NULL;
END
$$;

CREATE FUNCTION tactics_append_only() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is only ever added to: % is refused', lower(TG_OP)
        USING ERRCODE = 'restrict_violation', HINT = 'Whole months go with their partition: tactics retention.';
END
$$;

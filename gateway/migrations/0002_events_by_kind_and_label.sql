-- What kind of fact an entry is, and which label it is about: computed from the fact, so that entries which are there
-- already have them, too. What is no JSON has neither.
ALTER TABLE event ADD COLUMN kind TEXT GENERATED ALWAYS AS (
    CASE WHEN json_valid(fact) THEN
        CASE fact ->> '$.type' WHEN 'noted' THEN fact ->> '$.kind' ELSE fact ->> '$.type' END
    END
) VIRTUAL;
ALTER TABLE event ADD COLUMN label TEXT GENERATED ALWAYS AS (
    CASE WHEN json_valid(fact) THEN fact ->> '$.label' END
) VIRTUAL;

CREATE INDEX event_of_kind ON event (model, kind, id);
CREATE INDEX event_of_label ON event (model, label, id) WHERE label IS NOT NULL;

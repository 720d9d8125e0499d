-- History is append-only. Run again after a restore has replaced the rows.
CREATE TRIGGER chain_keeps_rows     BEFORE DELETE ON chain     BEGIN SELECT RAISE(ABORT, 'history is append-only'); END;
CREATE TRIGGER chain_keeps_words    BEFORE UPDATE ON chain     BEGIN SELECT RAISE(ABORT, 'history is append-only'); END;
CREATE TRIGGER decisions_keeps_rows  BEFORE DELETE ON decisions BEGIN SELECT RAISE(ABORT, 'history is append-only'); END;
CREATE TRIGGER decisions_keeps_words BEFORE UPDATE ON decisions BEGIN SELECT RAISE(ABORT, 'history is append-only'); END;
CREATE TRIGGER attempts_keeps_rows  BEFORE DELETE ON attempts  BEGIN SELECT RAISE(ABORT, 'history is append-only'); END;
CREATE TRIGGER attempts_keeps_words BEFORE UPDATE ON attempts  BEGIN SELECT RAISE(ABORT, 'history is append-only'); END;
CREATE TRIGGER events_keeps_rows    BEFORE DELETE ON events    BEGIN SELECT RAISE(ABORT, 'history is append-only'); END;
CREATE TRIGGER events_keeps_words   BEFORE UPDATE ON events    BEGIN SELECT RAISE(ABORT, 'history is append-only'); END;

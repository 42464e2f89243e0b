-- Whom the stack's own server lets in beside its databases: nobody. Run as the superuser, as often as one likes.
REVOKE CONNECT, TEMPORARY ON DATABASE postgres, template1 FROM PUBLIC;

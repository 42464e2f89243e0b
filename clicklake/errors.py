"""The errors a user can meet. Each message says what, with which value, and what to do."""


class LakeError(Exception):
    """Anything that ends a command with one sentence for the user instead of a stack trace."""


class SettingError(LakeError):
    """A setting that is unknown or whose value cannot be used."""


class InstallError(LakeError):
    """A download or an environment that could not be made."""


class PortInUseError(LakeError):
    """A port that a service needs is held by another process."""


class NotReadyError(LakeError):
    """A service that does not answer, or not yet as it must."""


class HeldError(NotReadyError):
    """A lock that another process does not let go of."""


class WriterExistsError(LakeError):
    """A second copy of the stream was asked for while one may be writing."""


class RestoreError(LakeError):
    """The stream cannot be started without counting an event twice or losing one."""


class VersionError(LakeError):
    """A version of the stream's source that cannot be read, found or submitted."""


class DeliveryError(LakeError):
    """Events that the producer could not hand to Kafka."""


class InputError(LakeError):
    """A file of a user's own events that cannot be read."""


class AuditError(LakeError):
    """The audit could not be made (not: it found something)."""


class DashboardError(LakeError):
    """Something Superset refuses: assets it cannot import, a role it cannot give, a chart that does not answer."""

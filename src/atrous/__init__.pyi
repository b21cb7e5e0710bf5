from atrous.labels import Label as Label
from atrous.labels import LabelSpace as LabelSpace
from atrous.parser import Parser as Parser
from atrous.parser import load as load
from atrous.recipes import create as create
from atrous.result import Result as Result
from atrous.result import contact_sheet as contact_sheet
from atrous.run.predict import Views as Views
from atrous.training import train as train
from atrous.types import BadInput as BadInput
from atrous.types import Labelled as Labelled
from atrous.types import Parse as Parse
from atrous.types import Region as Region
from atrous.types import Sample as Sample
from atrous.types import Segment as Segment

__version__: str
__all__: list[str]
